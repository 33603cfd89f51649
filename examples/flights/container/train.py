"""Script mode: a scikit-learn model of late arrivals, with the functions by which SageMaker serves it."""

import argparse
import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def read(folder: str) -> tuple[pd.DataFrame, pd.Series]:
    rows = pd.concat(pd.read_csv(path, header=None) for path in sorted(Path(folder).glob("*.csv")))
    return rows.iloc[:, 1:], rows.iloc[:, 0]


def model_fn(model_dir: str):
    return joblib.load(Path(model_dir) / "model.joblib")


def predict_fn(rows, model):
    return model.predict_proba(rows)[:, 1]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--regularization", type=float, default=1.0)
    arguments.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    arguments.add_argument("--validation", default=os.environ.get("SM_CHANNEL_VALIDATION"))
    arguments.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    options = arguments.parse_args()

    features, late = read(options.train)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=options.regularization, max_iter=500))
    model.fit(features.to_numpy(), late)
    for name, folder in (("train", options.train), ("validation", options.validation)):
        features, late = read(folder)
        chance = model.predict_proba(features.to_numpy())[:, 1]
        print(f"{name}-auc={roc_auc_score(late, chance):.5f}; {name}-logloss={log_loss(late, chance):.5f};")
    joblib.dump(model, Path(options.model_dir) / "model.joblib")


if __name__ == "__main__":
    main()
