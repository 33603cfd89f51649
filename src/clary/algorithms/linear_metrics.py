"""What linear learner measures, and the threshold that it calibrates."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = NDArray[Any]
Scores = dict[str, float]


def binary_metrics(labels: Array, scores: Array, threshold: float, beta: float) -> Scores:
    """Quality of a binary classifier whose positive answers score at least `threshold`."""
    predicted = scores >= threshold
    precision, recall, f_beta, _ = metrics.precision_recall_fscore_support(
        labels, predicted, beta=beta, average="binary", zero_division=0
    )
    found = {
        "binary_classification_accuracy": float((predicted == labels).mean()),
        "binary_f_beta": float(f_beta),
        "precision": float(precision),
        "recall": float(recall),
    }
    if len(np.unique(labels)) > 1:
        found["roc_auc_score"] = float(metrics.roc_auc_score(labels, scores))
    return found


def multiclass_metrics(labels: Array, scores: Array, top_k: int, beta: float) -> Scores:
    """Quality of a multiclass classifier; `scores` is (examples, classes)."""
    rank = (scores > np.take_along_axis(scores, labels.astype(np.int64)[:, None], axis=1)).sum(axis=1)
    with warnings.catch_warnings():
        # A class that a small channel lacks is no reason to warn.
        warnings.simplefilter("ignore")
        precision, recall, f_beta, _ = metrics.precision_recall_fscore_support(
            labels, scores.argmax(axis=1), beta=beta, average="macro", zero_division=0
        )
    return {
        "multiclass_accuracy": float((rank == 0).mean()),
        "multiclass_top_k_accuracy": float((rank < top_k).mean()),
        "dcg": float((1 / np.log2(rank + 2)).mean()),
        "macro_f_beta": float(f_beta),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
    }


def regression_metrics(labels: Array, scores: Array) -> Scores:
    """Errors of a regressor."""
    residuals = scores - labels
    mse = float((residuals**2).mean())
    return {"mse": mse, "absolute_loss": float(np.abs(residuals).mean()), "rmse": mse**0.5}


def calibrate(labels: Array, scores: Array, values: Mapping[str, Any]) -> tuple[float, float]:
    """The threshold that is best by the criterion of the job, and how good it is there.

    Each distinct score is tried as the threshold: all counts come from one sort.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], labels[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    positives = np.cumsum(truth)[last]
    answered = last + 1.0
    quality = _criterion(positives, answered, len(labels), values)
    best = int(quality.argmax())
    below = ranked[last[best] + 1] if last[best] + 1 < len(ranked) else ranked[last[best]]
    return float((ranked[last[best]] + below) / 2), float(quality[best])


def _criterion(hits: Array, answered: Array, total: int, values: Mapping[str, Any]) -> Array:
    positives = max(float(hits[-1]), 1.0)
    precision, recall = hits / answered, hits / positives
    name = values["binary_classifier_model_selection_criteria"]
    if name in ("f1", "f_beta"):
        square = 1.0 if name == "f1" else values["f_beta"] ** 2
        result: Array = (1 + square) * precision * recall / np.maximum(square * precision + recall, 1e-12)
        return result
    if name == "precision_at_target_recall":
        return _where_reached(precision, recall, values["target_recall"])
    if name == "recall_at_target_precision":
        return _where_reached(recall, precision, values["target_precision"])
    accuracy: Array = (hits + (total - hits[-1]) - (answered - hits)) / total
    return accuracy


def _where_reached(wanted: Array, bound: Array, target: float) -> Array:
    """`wanted` where `bound` reaches its target; where it does not, a negative number that grows towards it."""
    result: Array = np.where(bound >= target, wanted, bound - target - 1)
    return result
