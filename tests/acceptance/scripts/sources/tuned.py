import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--shape")
options = parser.parse_args()
print(f"loss={(options.rate - 0.3) ** 2 + (options.shape != 'round')};")
