from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, mean_squared_error, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clary.algorithms import artefact
from clary.algorithms.base import run_training
from clary.algorithms.linear_learner import ALGORITHM, LinearModel
from clary.algorithms.linear_losses import build_loss
from clary.algorithms.linear_metrics import calibrate
from clary.toolkit.serve.application import hosting
from clary.toolkit.serve.message import Request
from tests.algorithms.data import Split, csv, recordio

if TYPE_CHECKING:
    from tests.toolkit.container import Container

Train = Callable[..., int]
CANCER = Split(load_breast_cancer(return_X_y=True))
OPTIONS = {"margin": 1.0, "loss_insensitivity": 0.1, "huber_delta": 0.7, "quantile": 0.3}


@pytest.fixture
def train(container: Container, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.setenv("CLARY_ML_ROOT", str(container.root))

    def run(split: Split = CANCER, **hyperparameters: Any) -> int:
        split.write(container)
        texts = {"predictor_type": "binary_classifier"} | {k: str(v) for k, v in hyperparameters.items()}
        container.configure(texts, {"train": "text/csv", "validation": "text/csv"})
        return run_training(ALGORITHM)

    return run


def model_of(container: Container) -> LinearModel:
    return LinearModel.of(artefact.load(container.root / "model"))


def test_binary_classifier_is_as_good_as_scikit_learns(container: Container, train: Train) -> None:
    assert train() == 0
    own = roc_auc_score(CANCER.other_labels, model_of(container).scores(CANCER.other_rows))
    other = make_pipeline(StandardScaler(), LogisticRegression()).fit(CANCER.rows, CANCER.labels)
    assert own >= roc_auc_score(CANCER.other_labels, other.predict_proba(CANCER.other_rows)[:, 1]) - 0.01


def test_regressor_is_as_good_as_scikit_learns(container: Container, train: Train) -> None:
    data = Split(load_diabetes(return_X_y=True))
    assert train(data, predictor_type="regressor") == 0
    own = mean_squared_error(data.other_labels, model_of(container).scores(data.other_rows))
    other = LinearRegression().fit(data.rows, data.labels).predict(data.other_rows)
    assert own <= 1.02 * mean_squared_error(data.other_labels, other)


def test_multiclass_classifier_is_nearly_as_good_as_scikit_learns(container: Container, train: Train) -> None:
    data = Split(load_digits(return_X_y=True))
    assert train(data, predictor_type="multiclass_classifier", num_classes=10, num_models=8) == 0
    own = accuracy_score(data.other_labels, model_of(container).scores(data.other_rows).argmax(axis=1))
    other = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(data.rows, data.labels)
    assert own >= accuracy_score(data.other_labels, other.predict(data.other_rows)) - 0.025


@pytest.mark.parametrize("loss", ["absolute_loss", "huber_loss", "eps_insensitive_squared_loss", "quantile_loss"])
def test_other_losses_learn_too(container: Container, train: Train, loss: str) -> None:
    data = Split(load_diabetes(return_X_y=True))
    assert train(data, predictor_type="regressor", loss=loss, optimizer="rmsprop") == 0
    errors = np.abs(model_of(container).scores(data.other_rows) - data.other_labels)
    assert errors.mean() < 0.85 * np.abs(data.other_labels - data.labels.mean()).mean()


def test_metrics_are_written_as_by_the_algorithm(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(num_models=2, epochs=2) == 0
    log = capsys.readouterr().out
    assert re.search(
        r"^#quality_metric: host=algo-1, epoch=0, train binary_classification_cross_entropy_objective <loss>=\S+$",
        log,
        re.MULTILINE,
    )
    assert re.search(r"^#quality_metric: host=algo-1, validation roc_auc_score <score>=0\.\d+$", log, re.MULTILINE)
    assert "#progress_metric: host=algo-1, completed 50 % of epochs" in log


def test_the_last_objective_compares_with_those_of_the_epochs(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(Split(load_diabetes(return_X_y=True)), predictor_type="regressor", num_models=4) == 0
    losses = [float(loss) for loss in re.findall(r"validation mse_objective <loss>=(\S+)", capsys.readouterr().out)]
    assert losses[-1] == pytest.approx(min(losses[:-1]), rel=1e-3)


def test_replies_have_score_and_label(container: Container, train: Train) -> None:
    assert train(num_models=2) == 0
    application = hosting(ALGORITHM.load(container.root / "model", {}))
    rows = CANCER.other_rows[:3]
    instances = {"instances": [{"features": row} for row in rows.tolist()]}
    bodies = {
        "text/csv": csv(rows).encode(),
        "application/json": json.dumps(instances).encode(),
        "application/jsonlines": b"\n".join(json.dumps(item).encode() for item in instances["instances"]),
        "application/x-recordio-protobuf": recordio(rows, CANCER.other_labels[:3]),
    }
    for content_type, body in bodies.items():
        response = application(Request("POST", "/invocations", {"content-type": content_type}, body))
        predictions = json.loads(response.body)["predictions"]
        threshold = model_of(container).threshold
        assert [set(row) for row in predictions] == [{"score", "predicted_label"}] * 3
        assert all(row["predicted_label"] == int(row["score"] >= threshold) for row in predictions)
    for content_type, body, status in (("text/csv", b"1,2", 400), ("image/png", b"", 415)):
        assert application(Request("POST", "/invocations", {"content-type": content_type}, body)).status == status


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"predictor_type": "oracle"}, "Hyperparameter predictor_type"),
        ({"predictor_type": "multiclass_classifier"}, "num_classes is required"),
        ({"feature_dim": 3}, "feature_dim is 3, but the data have 30 features"),
        ({"loss": "squared_loss"}, "squared_loss is not supported for binary_classifier"),
        ({"gamma": 1}, "'gamma' was unexpected"),
    ],
)
def test_mistakes_fail_the_job(
    container: Container, train: Train, hyperparameters: dict[str, Any], reason: str
) -> None:
    assert train(**hyperparameters) == 2
    assert reason in container.read("output/failure")


@pytest.mark.parametrize(
    "name",
    [
        "logistic",
        "hinge_loss",
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
        "softmax_loss",
    ],
)
def test_gradients_are_those_of_the_losses(name: str) -> None:
    random = np.random.default_rng(0)
    outputs = 3 if name == "softmax_loss" else 1
    scores = random.normal(size=(6, 2, outputs))
    labels = random.integers(0, outputs if outputs > 1 else 2, 6).astype(float)
    loss = build_loss(name, OPTIONS)
    step = 1e-6
    for output in range(outputs):
        moved = scores.copy()
        moved[..., output] += step
        slope = (loss.value(moved, labels) - loss.value(scores, labels)) / step
        np.testing.assert_allclose(loss.gradient(scores, labels)[..., output], slope, atol=1e-4)


@pytest.mark.parametrize(
    ("criterion", "threshold_between", "quality"),
    [
        ("accuracy", (0.6, 0.8), 5 / 6),
        ("precision_at_target_recall", (0.3, 0.4), 3 / 4),
        ("recall_at_target_precision", (0.6, 0.8), 2 / 3),
    ],
)
def test_thresholds_are_best_by_their_criterion(
    criterion: str, threshold_between: tuple[float, float], quality: float
) -> None:
    scores = np.array([0.9, 0.8, 0.6, 0.4, 0.3, 0.1])
    labels = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    values = {
        "binary_classifier_model_selection_criteria": criterion,
        "f_beta": 1.0,
        "target_recall": 0.9,
        "target_precision": 0.9,
    }
    threshold, best = calibrate(labels, scores, values)
    assert threshold_between[0] < threshold < threshold_between[1]
    assert best == pytest.approx(quality)
