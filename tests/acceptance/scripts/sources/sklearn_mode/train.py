import argparse
import json
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import roman
from sklearn.linear_model import LogisticRegression


def model_fn(folder):
    return joblib.load(Path(folder, "model.joblib"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--penalty", type=float)
    parser.add_argument("--name")
    parser.add_argument("--flag")
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
    options = parser.parse_args()
    assert (options.penalty, options.name, options.flag) == (0.5, "two words", "True"), options
    assert json.loads(os.environ["SM_HPS"])["flag"] is True
    rows = pd.concat(pd.read_csv(path, header=None) for path in sorted(Path(options.train).glob("*.csv"))).to_numpy()
    model = LogisticRegression(C=1 / options.penalty).fit(rows[:, 1:], rows[:, 0])
    score = model.score(rows[:, 1:], rows[:, 0])
    print(f"accuracy={score:.4f}; requirements are here: {roman.toRoman(len(rows))}")
    joblib.dump(model, Path(options.model_dir, "model.joblib"))
    Path(os.environ["SM_OUTPUT_DATA_DIR"], "report.json").write_text(json.dumps({"mean": float(np.mean(rows))}))
