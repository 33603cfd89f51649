"""`statistics.json`: what each feature looks like."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from clary.algorithms.model_monitor import sketch
from clary.algorithms.model_monitor.columns import FRACTIONAL, INTEGRAL, STRING, Column

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, Any]

MOST_CATEGORIES = 1000
"""Categories beyond the most frequent ones are left out of the file."""


def statistics(columns: Sequence[Column]) -> Document:
    """The statistics of a table."""
    count = max((len(column.values) for column in columns), default=0)
    return {"version": 0.0, "dataset": {"item_count": count}, "features": [_feature(column) for column in columns]}


def _feature(column: Column) -> Document:
    kind = column.inferred_type()
    present = column.present
    common = {"num_present": len(present), "num_missing": len(column.values) - len(present)}
    feature: Document = {"name": column.name, "inferred_type": kind}
    if kind in (INTEGRAL, FRACTIONAL):
        feature["numerical_statistics"] = _numerical(column, common)
    elif kind == STRING:
        feature["string_statistics"] = _categorical(present, common)
    else:
        feature["unknown_statistics"] = {"common": common}
    return feature


def _numerical(column: Column, common: Document) -> Document:
    values = column.numbers()
    return {
        "common": common,
        "mean": float(values.mean()),
        "sum": float(values.sum()),
        "std_dev": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "distribution": {"kll": sketch.describe(values)},
    }


def _categorical(present: Sequence[str], common: Document) -> Document:
    counts = Counter(present)
    buckets = [{"value": value, "count": count} for value, count in counts.most_common(MOST_CATEGORIES)]
    return {
        "common": common,
        "distinct_count": float(len(counts)),
        "distribution": {"categorical": {"buckets": buckets}},
    }
