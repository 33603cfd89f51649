"""The losses of linear learner, for many models at once.

Scores are arrays of (examples, models, outputs), where only multiclass models have more than one output; labels are
(examples,). A loss is (examples, models), its gradient by the scores has their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array, Array], Array]


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and its gradient."""

    metric: str
    """What the objective is called in the log."""
    value: Function
    gradient: Function


def build_loss(name: str, values: Mapping[str, Any]) -> Loss:
    """The loss of that name with the options of the job."""
    if name == "logistic":
        return Loss("binary_classification_cross_entropy", _logistic, _logistic_gradient)
    if name == "softmax_loss":
        return Loss("multiclass_cross_entropy", _softmax, _softmax_gradient)
    if name == "hinge_loss":
        return _hinge(values["margin"])
    return _of_residuals(name, values)


def softmax(scores: Array) -> Array:
    """Probabilities of the outputs."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def sigmoid(scores: Array) -> Array:
    """Probabilities of the positive class, without overflow."""
    result: Array = 0.5 * (1 + np.tanh(0.5 * scores))
    return result


def _logistic(scores: Array, labels: Array) -> Array:
    result: Array = np.logaddexp(0, -_signs(labels)[:, None] * scores[..., 0])
    return result


def _logistic_gradient(scores: Array, labels: Array) -> Array:
    result: Array = sigmoid(scores) - labels[:, None, None]
    return result


def _softmax(scores: Array, labels: Array) -> Array:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels.astype(np.int64)[:, None, None], axis=-1)[..., 0]
    result: Array = np.log(np.exp(shifted).sum(axis=-1)) - chosen
    return result


def _softmax_gradient(scores: Array, labels: Array) -> Array:
    gradient = softmax(scores)
    gradient[np.arange(len(labels)), :, labels.astype(np.int64)] -= 1
    return gradient


def _hinge(margin: float) -> Loss:
    def value(scores: Array, labels: Array) -> Array:
        result: Array = np.maximum(0, margin - _signs(labels)[:, None] * scores[..., 0])
        return result

    def gradient(scores: Array, labels: Array) -> Array:
        signs = _signs(labels)[:, None, None]
        result: Array = np.where(signs * scores < margin, -signs, 0)
        return result

    return Loss("hinge", value, gradient)


def _of_residuals(name: str, values: Mapping[str, Any]) -> Loss:
    """A loss of the difference between score and label."""
    loss, slope = _residual_functions(values)[name]
    return Loss(
        {"squared_loss": "mse", "absolute_loss": "absolute_loss"}.get(name, name),
        lambda scores, labels: loss(scores[..., 0] - labels[:, None]),
        lambda scores, labels: slope(scores - labels[:, None, None]),
    )


Residual = Callable[[Array], Array]


def _residual_functions(values: Mapping[str, Any]) -> Mapping[str, tuple[Residual, Residual]]:
    width, delta, quantile = values["loss_insensitivity"], values["huber_delta"], values["quantile"]

    def beyond(r: Array) -> Array:
        """The part of a residual outside the insensitive zone."""
        result: Array = np.sign(r) * np.maximum(0, np.abs(r) - width)
        return result

    def huber(r: Array) -> Array:
        small = np.minimum(np.abs(r), delta)
        result: Array = small * (np.abs(r) - 0.5 * small)
        return result

    return {
        "squared_loss": (lambda r: r**2, lambda r: 2 * r),
        "absolute_loss": (np.abs, np.sign),
        "eps_insensitive_squared_loss": (lambda r: beyond(r) ** 2, lambda r: 2 * beyond(r)),
        "eps_insensitive_absolute_loss": (lambda r: np.abs(beyond(r)), lambda r: np.sign(beyond(r))),
        "quantile_loss": (
            lambda r: np.where(r < 0, -quantile * r, (1 - quantile) * r),
            lambda r: np.where(r < 0, -quantile, 1 - quantile),
        ),
        "huber_loss": (huber, lambda r: np.clip(r, -delta, delta)),
    }


def _signs(labels: Array) -> Array:
    result: Array = 2 * labels - 1
    return result
