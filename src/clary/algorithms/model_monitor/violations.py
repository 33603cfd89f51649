"""`constraint_violations.json`: where a table breaks the constraints of its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from clary.algorithms.model_monitor.columns import FRACTIONAL, INTEGRAL, STRING, UNKNOWN, Column
from clary.algorithms.model_monitor.constraints import completeness
from clary.algorithms.model_monitor.drift import Drift, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Document = dict[str, Any]
Violation = dict[str, str]

ENABLED = "Enabled"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the data are held against; statistics are there only if drift is to be checked."""

    constraints: Mapping[str, Any]
    statistics: Mapping[str, Any] | None

    def monitoring(self, feature: Mapping[str, Any]) -> dict[str, Any]:
        """The monitoring configuration of a feature, with what it overrides."""
        # The guide and the SDK write the overrides at different places.
        places = (feature, feature.get("num_constraints") or {}, feature.get("string_constraints") or {})
        config = dict(self.constraints.get("monitoring_config", {}))
        for place, key in product(places, ("monitoringConfigOverrides", "monitoring_config_overrides")):
            config |= place.get(key) or {}
        return config


def drifts(baseline: Baseline, statistics: Mapping[str, Any]) -> dict[str, Drift]:
    """The drift of each feature that both tables have."""
    if baseline.statistics is None:
        return {}
    before = {feature["name"]: feature for feature in baseline.statistics["features"]}
    current = {feature["name"]: feature for feature in statistics["features"]}
    found: dict[str, Drift] = {}
    for feature in baseline.constraints["features"]:
        name = feature["name"]
        config = baseline.monitoring(feature).get("distribution_constraints", {})
        if name in before and name in current and config.get("perform_comparison", ENABLED) == ENABLED:
            drift = measure(before[name], current[name], config)
            found |= {name: drift} if drift else {}
    return found


def violations(
    baseline: Baseline, columns: Sequence[Column], statistics: Mapping[str, Any], found: Mapping[str, Drift]
) -> list[Violation]:
    """All broken constraints."""
    broken = list(_column_checks(baseline.constraints, columns))
    by_name = {column.name: column for column in columns}
    described = {feature["name"]: feature for feature in statistics["features"]}
    for feature in baseline.constraints["features"]:
        name, monitoring = feature["name"], baseline.monitoring(feature)
        if name not in by_name or monitoring.get("evaluate_constraints", ENABLED) != ENABLED:
            continue
        broken += _type_check(feature, by_name[name], monitoring)
        broken += _completeness_check(feature, described[name])
        broken += _domain_check(feature, by_name[name], monitoring)
        if name in found and found[name].exceeded:
            broken.append(_violation(name, "baseline_drift_check", found[name].description))
    return broken


def _column_checks(constraints: Mapping[str, Any], columns: Sequence[Column]) -> Iterator[Violation]:
    expected = [feature["name"] for feature in constraints["features"]]
    present = [column.name for column in columns]
    counts = (
        f"Number of columns in current dataset: {len(present)}, "
        f"Number of columns in baseline constraints: {len(expected)}"
    )
    for name in expected:
        if name not in present:
            yield _violation(name, "missing_column_check", f"There are missing columns in current dataset. {counts}")
    for name in present:
        if name not in expected:
            yield _violation(name, "extra_column_check", f"There are extra columns in current dataset. {counts}")


def _type_check(feature: Mapping[str, Any], column: Column, monitoring: Mapping[str, Any]) -> Iterator[Violation]:
    expected = feature["inferred_type"]
    counts = column.kinds()
    total = sum(counts.values())
    if expected == UNKNOWN or not total:
        return
    # A whole number is a legal fraction, and everything is legal text.
    accepted = {INTEGRAL: (INTEGRAL,), FRACTIONAL: (INTEGRAL, FRACTIONAL), STRING: (INTEGRAL, FRACTIONAL, STRING)}
    share = sum(counts[kind] for kind in accepted[expected]) / total
    threshold = float(monitoring.get("datatype_check_threshold", 1.0))
    if share < threshold:
        yield _violation(
            column.name,
            "data_type_check",
            f"Data type match requirement is not met. Expected data type: {expected}, Expected match: "
            f"{threshold * 100}%. Observed: Only {share * 100}% of data is {expected}.",
        )


def _completeness_check(feature: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[Violation]:
    expected, observed = float(feature.get("completeness", 0.0)), completeness(described)
    if observed < expected:
        yield _violation(
            feature["name"],
            "completeness_check",
            f"Completeness requirement is not met. Expected completeness: {expected * 100}%. "
            f"Observed: Only {observed * 100}% of data is present.",
        )


def _domain_check(feature: Mapping[str, Any], column: Column, monitoring: Mapping[str, Any]) -> Iterator[Violation]:
    domains = (feature.get("string_constraints") or {}).get("domains")
    present = column.present
    if not domains or not present:
        return
    share = sum(value in set(domains) for value in present) / len(present)
    threshold = float(monitoring.get("domain_content_threshold", 1.0))
    if share < threshold:
        strange = sorted(set(present) - set(domains))[:5]
        yield _violation(
            column.name,
            "categorical_values_check",
            f"Value(s) not in the baseline's domain: {', '.join(strange)}. Expected match: {threshold * 100}%. "
            f"Observed: Only {share * 100}% of data is in the domain.",
        )


def _violation(feature: str, check: str, description: str) -> Violation:
    return {"feature_name": feature, "constraint_check_type": check, "description": description}
