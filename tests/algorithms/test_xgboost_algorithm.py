from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from clary.algorithms.base import run_training
from clary.algorithms.xgboost_algorithm import ALGORITHM
from clary.algorithms.xgboost_artefact import load
from tests.algorithms.data import Split, libsvm

if TYPE_CHECKING:
    from tests.toolkit.container import Container

CANCER = Split(load_breast_cancer(return_X_y=True))
Train = Callable[..., int]
CSV = {"train": "text/csv", "validation": "text/csv"}


@pytest.fixture
def train(container: Container, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.setenv("CLARY_ML_ROOT", str(container.root))
    CANCER.write(container)

    def run(channels: dict[str, str] = CSV, **hyperparameters: object) -> int:
        texts = {"num_round": "3", "objective": "binary:logistic"} | {k: str(v) for k, v in hyperparameters.items()}
        container.configure(texts, channels)
        return run_training(ALGORITHM)

    return run


def test_runs_as_a_program(container: Container) -> None:
    CANCER.write(container)
    container.configure({"num_round": "3", "objective": "binary:logistic", "eval_metric": "auc"}, CSV)
    env = {"CLARY_FRAMEWORK_REQUESTED": "xgboost 1.7-1"}
    done = container.run("clary.algorithms", "xgboost", "train", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *rounds = done.stdout.splitlines()
    assert first.startswith("Framework requested: xgboost 1.7-1. Running: xgboost 3.")
    assert [re.sub(r"\d\.\d{5}", "N", line) for line in rounds] == [
        f"[{number}]\ttrain-auc:N\tvalidation-auc:N" for number in range(3)
    ]


def test_the_artefact_is_what_the_library_makes_itself(train: Train, container: Container) -> None:
    assert train(max_depth=3, eta="0.5", seed=1, predictor="cpu_predictor", tree_method="gpu_hist") == 0
    artefact = container.root / "model/xgboost-model"
    assert [path.name for path in artefact.parent.iterdir()] == ["xgboost-model"]
    own = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "eta": 0.5, "seed": 1, "tree_method": "hist"},
        xgboost.DMatrix(CANCER.rows, CANCER.labels),
        3,
    )
    matrix = xgboost.DMatrix(CANCER.other_rows)
    np.testing.assert_allclose(load(artefact).predict(matrix), own.predict(matrix), rtol=1e-5)


def test_metrics_of_the_container_are_computed(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(eval_metric="logloss,accuracy,f1_binary") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert re.fullmatch(
        r"\[0\]\ttrain-logloss:\S+\ttrain-accuracy:\S+\ttrain-f1_binary:\S+"
        r"\tvalidation-logloss:\S+\tvalidation-accuracy:\S+\tvalidation-f1_binary:\S+",
        lines[0],
    )
    assert float(lines[-1].rpartition(":")[2]) > 0.9


def test_the_tuners_metric_is_always_computed(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(_tuning_objective_metric="validation:f1", eval_metric="auc") == 0
    assert "\tvalidation-f1:" in capsys.readouterr().out


def test_multiclass_metrics(container: Container, train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    Split(load_iris(return_X_y=True)).write(container)
    assert train(objective="multi:softprob", num_class=3, eval_metric='["mlogloss","f1_macro"]') == 0
    scores = re.findall(r"validation-f1_macro:(\S+)", capsys.readouterr().out)
    assert float(scores[-1]) > 0.9


def test_training_stops_early_on_validation(
    train: Train, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    Split(load_diabetes(return_X_y=True)).write(container)
    assert train(num_round=200, objective="reg:squarederror", eta=1, early_stopping_rounds=2) == 0
    scores = [float(score) for score in re.findall(r"validation-rmse:(\S+)", capsys.readouterr().out)]
    assert len(scores) < 30
    booster = load(container.root / "model/xgboost-model")
    assert booster.num_boosted_rounds() == int(np.argmin(scores)) + 1


def test_libsvm_is_the_default(container: Container, train: Train) -> None:
    container.write("input/data/train/part.csv", libsvm(CANCER.rows, CANCER.labels))
    assert train({"train": ""}) == 0
    assert load(container.root / "model/xgboost-model").num_features() == CANCER.rows.shape[1]


def test_training_goes_on_from_a_checkpoint(
    container: Container, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    (container.root / "checkpoints").mkdir()
    assert train(num_round=7) == 0
    kept = {path.name for path in (container.root / "checkpoints").iterdir()}
    assert kept == {f"xgboost-checkpoint.{number}" for number in range(2, 7)}
    capsys.readouterr()
    assert train(num_round=9) == 0
    rounds = re.findall(r"^\[(\d+)\]", capsys.readouterr().out, re.MULTILINE)
    assert rounds == ["7", "8"]
    assert load(container.root / "model/xgboost-model").num_boosted_rounds() == 9


def test_folds_predict_each_example_once(container: Container, train: Train) -> None:
    assert train({"train": "text/csv"}, _kfold=3, _num_cv_round=2) == 0
    models = sorted(path.name for path in (container.root / "model").iterdir())
    assert models == [f"xgboost-model-{number}" for number in range(6)]
    table = np.genfromtxt(container.root / "output/data/predictions.csv", delimiter=",", skip_header=1)
    assert len(table) == len(CANCER.rows)
    assert (table[:, 0] == table[:, 1]).mean() > 0.9


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"max_dept": 3}, "Additional hyperparameters are not allowed ('max_dept' was unexpected)"),
        ({"eta": "fast"}, "Hyperparameter eta: could not parse value 'fast'"),
        ({"subsample": 2}, "Hyperparameter subsample: value 2.0 not in range (0, 1]"),
        ({"objective": "multi:softmax"}, "num_class is required when objective is multi:softmax"),
        ({"eval_metric": "beauty"}, "Metric 'beauty' is not supported"),
        ({"objective": "binary:magic"}, "binary:magic"),
    ],
)
def test_mistakes_fail_the_job(
    container: Container, train: Train, hyperparameters: dict[str, object], reason: str
) -> None:
    assert train(**hyperparameters) == 2
    failure = container.read("output/failure")
    assert failure.startswith("ClientError: ")
    assert reason in failure
    assert not list(Path(container.root / "model").glob("*"))


def test_a_missing_channel_is_named(container: Container, train: Train) -> None:
    assert train({}) == 2
    assert container.read("output/failure") == "ClientError: Missing required channel: train"


def test_sdk_version_2_quotes_are_understood(container: Container, train: Train) -> None:
    assert train(objective=json.dumps("binary:logistic"), num_round='"2"') == 0
