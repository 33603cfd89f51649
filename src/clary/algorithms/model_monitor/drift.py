"""How far the distribution of a feature has moved from its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import chi2_contingency

from clary.algorithms.model_monitor import sketch

if TYPE_CHECKING:
    from collections.abc import Mapping

NOISE_FACTOR = 1.8
"""Above the difference that two samples of one distribution show by chance in all but a fraction of a percent."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A distance, what it may be at most, and the words for when it is more."""

    distance: float
    threshold: float
    exceeded: bool
    description: str


def measure(baseline: Mapping[str, Any], current: Mapping[str, Any], config: Mapping[str, Any]) -> Drift | None:
    """The drift of one feature by its two statistics; None where they cannot be compared."""
    if "numerical_statistics" in baseline and "numerical_statistics" in current:
        return _numerical(_sketch_of(baseline), _sketch_of(current), config)
    if "string_statistics" in baseline and "string_statistics" in current:
        return _categorical(_counts(baseline), _counts(current), config)
    return None


def _numerical(baseline: Mapping[str, Any], current: Mapping[str, Any], config: Mapping[str, Any]) -> Drift:
    distance = sketch.distance(baseline, current)
    if config.get("comparison_method", "Robust") == "Robust":
        distance = max(0.0, distance - _noise(sketch.size(baseline), sketch.size(current)))
    return _distance(distance, float(config.get("comparison_threshold", 0.1)))


def _noise(first: float, second: float) -> float:
    return float(NOISE_FACTOR * np.sqrt((first + second) / max(first * second, 1.0)))


def _categorical(baseline: Mapping[str, float], current: Mapping[str, float], config: Mapping[str, Any]) -> Drift:
    threshold = float(config.get("categorical_comparison_threshold", config.get("comparison_threshold", 0.1)))
    values = sorted(baseline.keys() | current.keys())
    table = np.array([[counts.get(value, 0.0) for value in values] for counts in (baseline, current)])
    if config.get("categorical_drift_method", "LInfinity") == "ChiSquared":
        return _chi_squared(table, threshold)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    return _distance(float(np.abs(shares[0] - shares[1]).max()), threshold)


def _chi_squared(table: Any, threshold: float) -> Drift:
    likelihood = 1.0 if table.shape[1] < 2 else float(chi2_contingency(table).pvalue)
    text = f"Chi-squared test: p-value {likelihood} is below threshold: {threshold}"
    return Drift(1.0 - likelihood, threshold, likelihood < threshold, text)


def _distance(distance: float, threshold: float) -> Drift:
    text = f"Baseline drift distance: {distance} exceeds threshold: {threshold}"
    return Drift(distance, threshold, distance > threshold, text)


def _sketch_of(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    kll: Mapping[str, Any] = feature["numerical_statistics"]["distribution"]["kll"]
    return kll


def _counts(feature: Mapping[str, Any]) -> dict[str, float]:
    buckets = feature["string_statistics"]["distribution"]["categorical"]["buckets"]
    return {str(bucket["value"]): float(bucket["count"]) for bucket in buckets}
