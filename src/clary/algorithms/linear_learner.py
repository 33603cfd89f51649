"""Linear learner: the best of many linear models for classification or regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clary.algorithms import artefact
from clary.algorithms.channels import Dataset, Reading, read_channel
from clary.algorithms.errors import ClientError
from clary.algorithms.first_party import Answer, answering, progress, quality
from clary.algorithms.hyperparameters import AUTO
from clary.algorithms.linear_hyperparameters import BALANCED, BINARY, HYPERPARAMETERS, LOSSES, MULTICLASS, REGRESSOR
from clary.algorithms.linear_losses import Loss, build_loss, sigmoid, softmax
from clary.algorithms.linear_metrics import Scores, binary_metrics, calibrate, multiclass_metrics, regression_metrics
from clary.algorithms.linear_models import Grid, Models
from clary.toolkit.formats import content_type as types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from clary.toolkit.job import Job
    from clary.toolkit.serve.message import Request, Response

Array = NDArray[Any]
READING = Reading(types.RECORDIO, (types.RECORDIO, types.CSV))
DEFAULT_BATCH = 1000
SMALLEST_BATCH = 32


class LinearLearner:
    """Linear models, trained side by side."""

    hyperparameters = HYPERPARAMETERS

    def train(self, job: Job, values: Mapping[str, Any]) -> None:
        """Train the grid of models, keep the one that does best on the validation channel."""
        channels = {name: _examples(job, name, values) for name in ("train", "validation", "test")}
        train = channels["train"]
        if train is None:
            raise ClientError("Missing required channel: train")
        _check_width(values, train)
        fitted = Training(train, channels["validation"], values).run()
        model = fitted.best()
        for name in ("validation", "test"):
            data = channels[name]
            if data is not None:
                _report(name, model, data, values)
                quality(name, f"{fitted.loss.metric}_objective", fitted.objective(model, data))
        artefact.save(job.layout.model, "linear-learner", model.arrays())

    def load(self, model_dir: Path, _environ: Mapping[str, str]) -> Callable[[Request], Response]:
        """The model behind AWS's request and reply formats."""
        model = LinearModel.of(artefact.load(model_dir))
        return answering(model.answers, len(model.weights))


ALGORITHM = LinearLearner()


@dataclass(frozen=True, slots=True)
class Examples:
    """Dense rows, labels, and the weight of each example."""

    rows: Array
    labels: Array
    weights: Array


@dataclass(frozen=True, slots=True)
class LinearModel:
    """One trained model on raw features: weights (features, outputs) and bias (outputs,)."""

    kind: str
    loss: str
    weights: Array
    bias: Array
    threshold: float

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> LinearModel:
        """The model of an artefact."""
        texts = (str(arrays["kind"]), str(arrays["loss"]))
        return cls(*texts, arrays["weights"], arrays["bias"], float(arrays["threshold"]))

    def arrays(self) -> dict[str, Any]:
        """The model as an artefact."""
        return {"kind": self.kind, "loss": self.loss, "weights": self.weights, "bias": self.bias,
                "threshold": self.threshold}  # fmt: skip

    def scores(self, rows: Array) -> Array:
        """(examples,) for one output, probabilities where the loss has them; (examples, classes) for more."""
        raw = rows.astype(np.float64) @ self.weights + self.bias
        if self.kind == MULTICLASS:
            return softmax(raw)
        return sigmoid(raw[:, 0]) if self.loss == "logistic" else np.asarray(raw[:, 0])

    def answers(self, rows: Array) -> Sequence[Answer]:
        """What AWS answers for each row."""
        scores = self.scores(rows)
        if self.kind == REGRESSOR:
            return [{"score": score} for score in scores.tolist()]
        labels = scores.argmax(axis=1) if self.kind == MULTICLASS else (scores >= self.threshold).astype(int)
        return [
            {"score": score, "predicted_label": label}
            for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
        ]


class Training:
    """One training run over the grid of models."""

    def __init__(self, train: Examples, validation: Examples | None, values: Mapping[str, Any]) -> None:
        self.values = values
        self.kind = values["predictor_type"]
        self.loss_name = LOSSES[self.kind][0] if values["loss"] == AUTO else values["loss"]
        if self.loss_name not in LOSSES[self.kind]:
            raise ClientError(f"Hyperparameter loss: value {self.loss_name} is not supported for {self.kind}")
        self.loss: Loss = build_loss(self.loss_name, values)
        self._scale_features(train)
        self._scale_labels(train)
        self._train = self._scaled(train)
        self._validation = self._scaled(validation) if validation is not None else None
        outputs = values["num_classes"] if self.kind == MULTICLASS else 1
        self._models = Models(train.rows.shape[1], outputs, Grid.of(values), self.loss, values)
        self._best_losses: Array = np.full(self._models.weights.shape[1], np.inf)
        self._best_weights = self._models.weights.copy()
        self._best_bias = self._models.bias.copy()

    def run(self) -> Training:
        """Train until the epochs are over or no model gets better."""
        epochs, patience, waited = self.values["epochs"], self.values["early_stopping_patience"], 0
        random = np.random.default_rng(0)
        for epoch in range(epochs):
            self._epoch(random)
            before = self._best_losses.min()
            self._evaluate(epoch)
            progress(100 * (epoch + 1) / epochs)
            enough = before - self._best_losses.min() > self.values["early_stopping_tolerance"] * abs(before)
            waited = 0 if enough or not np.isfinite(before) else waited + 1
            if waited >= patience:
                break
        return self

    def best(self) -> LinearModel:
        """The best model, on raw features and labels."""
        judged = self._validation or self._train
        self._models.weights, self._models.bias = self._best_weights, self._best_bias
        index, threshold = int(self._best_losses.argmin()), 0.5
        if self.kind == BINARY:
            index, threshold = self._select(judged)
        weights = self._best_weights[:, index].astype(np.float64) / self._spread[:, None]
        bias = self._best_bias[0, index] - self._centre @ weights
        return LinearModel(
            self.kind,
            self.loss_name,
            weights * self._label_spread,
            bias * self._label_spread + self._label_centre,
            threshold,
        )

    def objective(self, model: LinearModel, data: Examples) -> float:
        """The mean loss of a model on labels scaled as in training, so that it compares with the epochs'."""
        scores = (data.rows @ model.weights + model.bias - self._label_centre) / self._label_spread
        return float(self.loss.value(scores[:, None, :], self._scaled(data).labels).mean())

    def _select(self, judged: Examples) -> tuple[int, float]:
        limit = self.values["num_calibration_samples"]
        rows = slice(None if limit == AUTO else limit)
        raw = self._models.scores(judged.rows[rows])[..., 0].astype(np.float64)
        scores = sigmoid(raw) if self.loss_name == "logistic" else raw
        if self.values["binary_classifier_model_selection_criteria"] in ("loss_function", "cross_entropy_loss"):
            return int(self._best_losses.argmin()), 0.5 if self.loss_name == "logistic" else 0.0
        labels = judged.labels[rows]
        found = [calibrate(labels, scores[:, index], self.values) for index in range(scores.shape[1])]
        index = max(range(len(found)), key=lambda i: (found[i][1], -self._best_losses[i]))
        return index, found[index][0]

    def _epoch(self, random: np.random.Generator) -> None:
        train = self._train
        order = random.permutation(len(train.rows))
        batch = self.values["mini_batch_size"] or _default_batch(len(order))
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            self._models.step(train.rows[part], train.labels[part], train.weights[part])

    def _evaluate(self, epoch: int) -> None:
        """Write the losses to the log and keep the weights of the models that got better."""
        losses = self._models.losses(self._train.rows, self._train.labels, self._train.weights)
        quality("train", f"{self.loss.metric}_objective", np.nanmin(losses), epoch=epoch)
        if self._validation is not None:
            watched = self._validation
            losses = self._models.losses(watched.rows, watched.labels, watched.weights)
            quality("validation", f"{self.loss.metric}_objective", np.nanmin(losses), epoch=epoch)
        better = np.nan_to_num(losses, nan=np.inf) < self._best_losses
        self._best_losses = np.where(better, losses, self._best_losses)
        self._best_weights[:, better] = self._models.weights[:, better]
        self._best_bias[:, better] = self._models.bias[:, better]

    def _scale_features(self, train: Examples) -> None:
        sample = train.rows[: self.values["num_point_for_scaler"]].astype(np.float64)
        width = train.rows.shape[1]
        unbias = self.values["unbias_data"] in (AUTO, True) and self.values["use_bias"]
        self._centre: Array = sample.mean(axis=0) if unbias else np.zeros(width)
        spread = sample.std(axis=0) if self.values["normalize_data"] in (AUTO, True) else np.ones(width)
        self._spread: Array = np.where(spread > 0, spread, 1.0)

    def _scale_labels(self, train: Examples) -> None:
        regression = self.kind == REGRESSOR
        unbias = regression and self.values["unbias_label"] in (AUTO, True) and self.values["use_bias"]
        scale = regression and self.values["normalize_label"] in (AUTO, True)
        self._label_centre = float(train.labels.mean()) if unbias else 0.0
        self._label_spread = (float(train.labels.std()) or 1.0) if scale else 1.0

    def _scaled(self, data: Examples) -> Examples:
        rows = ((data.rows - self._centre) / self._spread).astype(np.float32)
        return Examples(rows, (data.labels - self._label_centre) / self._label_spread, data.weights)


def _examples(job: Job, name: str, values: Mapping[str, Any]) -> Examples | None:
    data = read_channel(job, name, READING)
    if data is None:
        return None
    if data.labels is None:
        raise ClientError(f"Channel {name!r} has no labels.")
    _check_labels(name, data.labels, values)
    rows = data.features.toarray() if hasattr(data.features, "toarray") else data.features
    if np.isnan(rows).any():
        raise ClientError(f"Channel {name!r} holds missing values, which linear learner does not accept.")
    return Examples(rows, data.labels.astype(np.float32), _weights(data, values))


def _check_labels(name: str, labels: Array, values: Mapping[str, Any]) -> None:
    kind = values["predictor_type"]
    if kind == MULTICLASS and values["num_classes"] is None:
        raise ClientError("num_classes is required when predictor_type is multiclass_classifier")
    classes = 2 if kind == BINARY else values["num_classes"]
    if kind != REGRESSOR and not np.isin(np.unique(labels), np.arange(classes)).all():
        raise ClientError(f"Channel {name!r}: labels must be whole numbers from 0 to {classes - 1}.")


def _weights(data: Dataset, values: Mapping[str, Any]) -> Array:
    labels = np.asarray(data.labels)
    weights = np.ones(len(labels), np.float32)
    positive = values["positive_example_weight_mult"]
    if values["predictor_type"] == BINARY:
        share = max(float(labels.mean()), 1e-12)
        weights[labels == 1] = (1 - share) / share if positive == BALANCED else positive
    if values["predictor_type"] == MULTICLASS and values["balance_multiclass_weights"]:
        counts = np.bincount(labels.astype(int), minlength=values["num_classes"])
        weights = (len(labels) / (np.count_nonzero(counts) * counts[labels.astype(int)])).astype(np.float32)
    return weights


def _check_width(values: Mapping[str, Any], train: Examples) -> None:
    declared, found = values["feature_dim"], train.rows.shape[1]
    if declared not in (AUTO, found):
        raise ClientError(f"Hyperparameter feature_dim is {declared}, but the data have {found} features.")


def _default_batch(rows: int) -> int:
    # A thousand at a time leaves a small data set with too few steps to learn anything.
    return min(DEFAULT_BATCH, max(SMALLEST_BATCH, rows // 20))


def _report(channel: str, model: LinearModel, data: Examples, values: Mapping[str, Any]) -> None:
    kind = "loss" if model.kind == REGRESSOR else "score"
    for name, value in _measures(model, data, values).items():
        quality(channel, name, value, kind)


def _measures(model: LinearModel, data: Examples, values: Mapping[str, Any]) -> Scores:
    scores = model.scores(data.rows)
    if model.kind == REGRESSOR:
        return regression_metrics(data.labels, scores)
    if model.kind == BINARY:
        return binary_metrics(data.labels, scores, model.threshold, values["f_beta"])
    return multiclass_metrics(data.labels, scores, values["accuracy_top_k"], values["f_beta"])
