"""Metrics that AWS's XGBoost container adds to those of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

Array = NDArray[Any]
Metric = Callable[[Array, Array], float]


def _labels(score: Callable[..., float], **options: Any) -> Metric:
    """A score of predicted labels."""
    return lambda truth, predicted: float(score(truth, predicted, **options))


LABEL_METRICS: Mapping[str, Metric] = {
    "accuracy": _labels(metrics.accuracy_score),
    "balanced_accuracy": _labels(metrics.balanced_accuracy_score),
    "f1": _labels(metrics.f1_score, average="macro", zero_division=0),
    "f1_binary": _labels(metrics.f1_score, average="binary", zero_division=0),
    "f1_macro": _labels(metrics.f1_score, average="macro", zero_division=0),
    "precision": _labels(metrics.precision_score, average="binary", zero_division=0),
    "precision_macro": _labels(metrics.precision_score, average="macro", zero_division=0),
    "precision_micro": _labels(metrics.precision_score, average="micro", zero_division=0),
    "recall": _labels(metrics.recall_score, average="binary", zero_division=0),
    "recall_macro": _labels(metrics.recall_score, average="macro", zero_division=0),
    "recall_micro": _labels(metrics.recall_score, average="micro", zero_division=0),
}
VALUE_METRICS: Mapping[str, Metric] = {
    "mse": _labels(metrics.mean_squared_error),
    "r2": _labels(metrics.r2_score),
}
CUSTOM_METRICS = frozenset(LABEL_METRICS) | frozenset(VALUE_METRICS)


def custom_metric(names: Sequence[str], objective: str) -> Callable[[Array, Any], list[tuple[str, float]]] | None:
    """The metrics of the container as one function for `xgboost.train`; None when none is asked for."""
    if not names:
        return None

    def evaluate(predictions: Array, data: Any) -> list[tuple[str, float]]:
        truth = data.get_label()
        labels = predicted_labels(predictions, objective)
        scores = {name: metric(truth, labels) for name, metric in LABEL_METRICS.items() if name in names}
        scores |= {name: metric(truth, predictions) for name, metric in VALUE_METRICS.items() if name in names}
        return list(scores.items())

    return evaluate


def predicted_labels(predictions: Array, objective: str) -> Array:
    """The most likely class of each prediction of an objective."""
    if predictions.ndim > 1:
        best: Array = predictions.argmax(axis=1)
        return best
    if objective.startswith("multi:"):
        return predictions
    return (predictions > (0.0 if objective == "binary:logitraw" else 0.5)).astype(np.int64)
