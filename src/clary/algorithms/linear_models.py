"""Many linear models with different regularisation and learning rates, trained at once by one matrix product a step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clary.algorithms.hyperparameters import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.algorithms.linear_losses import Loss

Array = NDArray[Any]

MODELS = 32
RATES: Mapping[str, tuple[float, ...]] = {
    "adam": (0.1, 0.02, 0.5, 0.005),
    "rmsprop": (0.05, 0.01, 0.2, 0.002),
    "sgd": (0.3, 0.1, 1.0, 0.03),
}
"""Learning rates tried where the job leaves them open, the likeliest first."""
DECAYS = (1e-4, 0.0, 1e-2, 1e-3)
L1_PENALTIES = (0.0, 1e-4)
EVALUATION_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Grid:
    """The settings of each model; arrays of (1, models, 1)."""

    rate: Array
    decay: Array
    l1: Array

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Grid:
        """The combinations of what the job fixes and what it leaves open, at most `num_models` of them."""
        limit = MODELS if values["num_models"] == AUTO else values["num_models"]
        choices = (
            L1_PENALTIES if values["l1"] == AUTO else (values["l1"],),
            DECAYS if values["wd"] == AUTO else (values["wd"],),
            RATES[optimizer_name(values)] if values["learning_rate"] == AUTO else (values["learning_rate"],),
        )
        l1, decay, rate = zip(*islice(product(*choices), limit), strict=True)
        return cls(_column(rate), _column(decay), _column(l1))

    def __len__(self) -> int:
        return int(self.rate.size)


class Models:
    """Weights of (features, models, outputs) and biases of (1, models, outputs)."""

    def __init__(self, width: int, outputs: int, grid: Grid, loss: Loss, values: Mapping[str, Any]) -> None:
        shape = (width, len(grid), outputs)
        random = np.random.default_rng(0)
        if values["init_method"] == "normal":
            start = random.normal(0, values["init_sigma"], shape)
        else:
            start = random.uniform(-values["init_scale"], values["init_scale"], shape)
        self.weights: Array = start.astype(np.float32)
        self.bias: Array = np.full((1, *shape[1:]), values["init_bias"], np.float32)
        self._grid = grid
        self._loss = loss
        self._values = values
        self._schedule = Schedule(values)
        self._weight_step = Optimizer(values, self.weights)
        self._bias_step = Optimizer(values, self.bias)

    def scores(self, rows: Array) -> Array:
        """The outputs of all models, (examples, models, outputs)."""
        width = self.weights.shape[0]
        products = rows @ self.weights.reshape(width, -1)
        result: Array = products.reshape(len(rows), *self.weights.shape[1:]) + self.bias
        return result

    def losses(self, rows: Array, labels: Array, weights: Array) -> Array:
        """The mean loss of each model."""
        total: Array = np.zeros(len(self._grid))
        for start in range(0, len(rows), EVALUATION_ROWS):
            part = slice(start, start + EVALUATION_ROWS)
            total += weights[part] @ self._loss.value(self.scores(rows[part]), labels[part])
        mean: Array = total / weights.sum()
        return mean

    def step(self, rows: Array, labels: Array, weights: Array) -> None:
        """Move all models against the gradient of one batch."""
        slope = self._loss.gradient(self.scores(rows), labels) * (weights / len(rows))[:, None, None]
        rate = self._schedule.next(self._grid.rate)
        pull = (rows.T @ slope.reshape(len(rows), -1)).reshape(self.weights.shape) + self._grid.decay * self.weights
        self.weights -= rate * self._weight_step.direction(pull)
        # Soft thresholding keeps the weights that the penalty removes at exactly zero.
        self.weights = np.sign(self.weights) * np.maximum(0, np.abs(self.weights) - rate * self._grid.l1)
        if self._values["use_bias"]:
            self._step_bias(slope, rate)

    def _step_bias(self, slope: Array, rate: Array) -> None:
        rate_mult, decay_mult = self._values["bias_lr_mult"], self._values["bias_wd_mult"]
        decay = 0.0 if decay_mult == AUTO else decay_mult * self._grid.decay
        pull = slope.sum(axis=0, keepdims=True) + decay * self.bias
        self.bias -= rate * (1.0 if rate_mult == AUTO else rate_mult) * self._bias_step.direction(pull)


class Schedule:
    """Lowers the learning rates as training goes on."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._on = bool(values["use_lr_scheduler"])
        self._factor = _given(values["lr_scheduler_factor"], 0.99)
        self._every = _given(values["lr_scheduler_step"], 10)
        self._least = _given(values["lr_scheduler_minimum_lr"], 1e-5)
        self._steps = 0

    def next(self, rate: Array) -> Array:
        """The learning rates of the next step."""
        drops = self._steps // self._every if self._on else 0
        self._steps += 1
        result: Array = np.maximum(rate * np.float32(self._factor**drops), np.minimum(rate, self._least))
        return result


class Optimizer:
    """Turns gradients into directions: adam, rmsprop, or sgd with momentum."""

    def __init__(self, values: Mapping[str, Any], like: Array) -> None:
        self._name = optimizer_name(values)
        self._beta_1 = _given(values["beta_1"], 0.9)
        self._beta_2 = _given(values["beta_2"], 0.999 if self._name == "adam" else 0.9)
        self._momentum = _given(values["momentum"], 0.0)
        self._mean: Array = np.zeros_like(like)
        self._square: Array = np.zeros_like(like)
        self._steps = 0

    def direction(self, gradient: Array) -> Array:
        """Where to go, before the learning rate."""
        self._steps += 1
        if self._name == "sgd":
            self._mean = self._momentum * self._mean + gradient
            return self._mean
        self._square = self._beta_2 * self._square + (1 - self._beta_2) * gradient**2
        if self._name == "rmsprop":
            result: Array = gradient / (np.sqrt(self._square) + 1e-8)
            return result
        self._mean = self._beta_1 * self._mean + (1 - self._beta_1) * gradient
        mean = self._mean / (1 - self._beta_1**self._steps)
        square = self._square / (1 - self._beta_2**self._steps)
        adam: Array = mean / (np.sqrt(square) + 1e-8)
        return adam


def optimizer_name(values: Mapping[str, Any]) -> str:
    """The optimizer of the job."""
    return "adam" if values["optimizer"] == AUTO else str(values["optimizer"])


def _column(values: tuple[float, ...]) -> Array:
    return np.array(values, np.float32).reshape(1, -1, 1)


def _given(value: Any, default: float) -> Any:
    return default if value == AUTO else value
