"""Distributions that fit into a file: KLL sketches of numbers.

A sketch is a list of levels; a number on level i stands for 2**i examples. (Karnin, Lang, Liberty: "Optimal quantile
approximation in streams", 2016.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.float64]

LEVEL_SIZE = 2048
SHRINKING_FACTOR = 0.64
BUCKETS = 10


def describe(values: Floats) -> dict[str, Any]:
    """The `kll` member of a feature's statistics."""
    levels = _levels(values)
    return {
        "buckets": _buckets(values),
        "sketch": {
            "parameters": {"c": SHRINKING_FACTOR, "k": float(LEVEL_SIZE)},
            "data": [level.tolist() for level in levels],
        },
    }


def distance(baseline: Mapping[str, Any], current: Mapping[str, Any]) -> float:
    """The largest difference of the two cumulative distributions (Kolmogorov-Smirnov)."""
    first, second = _points(baseline), _points(current)
    grid = np.concatenate([first[0], second[0]])
    return float(np.abs(_cumulative(*first, grid) - _cumulative(*second, grid)).max(initial=0.0))


def size(kll: Mapping[str, Any]) -> float:
    """How many examples a sketch stands for."""
    return float(_points(kll)[1].sum())


def _levels(values: Floats) -> list[Floats]:
    random = np.random.default_rng(0)
    levels: list[Floats] = []
    rest = np.sort(values)
    while len(rest) > LEVEL_SIZE:
        odd = len(rest) % 2
        levels.append(rest[:odd])
        rest = rest[odd:][int(random.integers(2)) :: 2]
    return [*levels, rest]


def _buckets(values: Floats) -> list[dict[str, float]]:
    low, high = float(values.min()), float(values.max())
    counts, bounds = np.histogram(values, BUCKETS, (low, high if high > low else low + 1))
    return [
        {"lower_bound": float(bounds[i]), "upper_bound": float(bounds[i + 1]), "count": float(counts[i])}
        for i in range(BUCKETS)
    ]


def _points(kll: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Sorted values and their weights; from the buckets where a file brings no sketch."""
    levels = (kll.get("sketch") or {}).get("data")
    if levels:
        values = np.concatenate([np.asarray(level, np.float64) for level in levels])
        weights = np.concatenate([np.full(len(level), 2.0**i) for i, level in enumerate(levels)])
    else:
        values = np.array([(b["lower_bound"] + b["upper_bound"]) / 2 for b in kll["buckets"]], np.float64)
        weights = np.array([b["count"] for b in kll["buckets"]], np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def _cumulative(values: Floats, weights: Floats, grid: Floats) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    result: Floats = sums[np.searchsorted(values, grid, side="right")] / max(float(sums[-1]), 1.0)
    return result
