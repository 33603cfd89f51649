import argparse
import json
import os
import shutil
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=int)
parser.add_argument("--word")
options = parser.parse_args()
assert options.word == "two words", options
assert Path(os.environ["SM_CHANNEL_TRAIN"], "train.csv").read_text() == "1,2\n3,4\n"
folder = Path(os.environ["SM_MODEL_DIR"])
(folder / "model.json").write_text(json.dumps({"factor": options.factor}))
(folder / "code").mkdir()
shutil.copy("inference.py", folder / "code")
