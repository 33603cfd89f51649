"""`constraints.json`: what a baseline lets later data be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.algorithms.model_monitor.columns import STRING

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

MOST_DOMAIN_VALUES = 100
COMMON_STATISTICS = ("numerical_statistics", "string_statistics", "unknown_statistics")

DEFAULT_MONITORING: Mapping[str, Any] = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    },
}


def suggest(statistics: Mapping[str, Any]) -> Document:
    """The constraints that a table with these statistics keeps."""
    features = [_feature(feature) for feature in statistics["features"]]
    return {"version": 0.0, "features": features, "monitoring_config": dict(DEFAULT_MONITORING)}


def completeness(feature: Mapping[str, Any]) -> float:
    """The share of a feature's values that are not missing."""
    common = next(feature[name]["common"] for name in COMMON_STATISTICS if name in feature)
    total = common["num_present"] + common["num_missing"]
    return float(common["num_present"] / total) if total else 0.0


def _feature(feature: Mapping[str, Any]) -> Document:
    kept: Document = {
        "name": feature["name"],
        "inferred_type": feature["inferred_type"],
        "completeness": completeness(feature),
    }
    if "numerical_statistics" in feature:
        kept["num_constraints"] = {"is_non_negative": feature["numerical_statistics"]["min"] >= 0}
    if feature["inferred_type"] == STRING and _is_category(feature["string_statistics"]):
        buckets = feature["string_statistics"]["distribution"]["categorical"]["buckets"]
        kept["string_constraints"] = {"domains": [bucket["value"] for bucket in buckets]}
    return kept


def _is_category(statistics: Mapping[str, Any]) -> bool:
    """Whether the values repeat, as those of a category do and free text does not."""
    distinct = statistics["distinct_count"]
    return bool(distinct <= MOST_DOMAIN_VALUES and 2 * distinct <= statistics["common"]["num_present"])
