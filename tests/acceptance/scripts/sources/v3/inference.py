import json
from pathlib import Path


def model_fn(folder):
    return json.loads(Path(folder, "model.json").read_text())


def predict_fn(rows, model):
    return rows.sum(axis=1) * model["factor"]
