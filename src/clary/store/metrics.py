"""Metric data points, as CloudWatch keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clary.store.database import Database


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured: a name in a namespace, told apart further by dimensions."""

    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """A value or the summary of several; `time` in seconds since 1970."""

    time: float
    count: float
    sum: float
    low: float
    high: float
    unit: str = "None"

    @classmethod
    def of(cls, time: float, value: float, unit: str = "None") -> Point:
        """A single value."""
        return cls(time, 1, value, value, value, unit)


class Metrics:
    """All data points; `scope` is `account/region`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, scope: str, points: Iterable[tuple[Metric, Point]]) -> None:
        """Adds data points."""
        with self._database.write() as connection:
            for metric, point in points:
                key = (scope, metric.namespace, metric.name, _dump(metric.dimensions))
                number = connection.execute(_NAME, (*key, point.time)).fetchone()[0]
                connection.execute(
                    _POINT,
                    (number, point.time, number, point.time, point.unit, point.count, point.sum, point.low, point.high),
                )

    def find(
        self, scope: str, namespace: str = "", name: str = "", dimensions: Mapping[str, str] | None = None
    ) -> list[Metric]:
        """The metrics seen, narrowed by what is given; `dimensions` must all be there."""
        rows = self._database.read(
            "SELECT namespace, name, dimensions FROM metric_names "
            "WHERE scope = ? AND (? = '' OR namespace = ?) AND (? = '' OR name = ?) "
            "ORDER BY namespace, name, dimensions",
            (scope, namespace, namespace, name, name),
        )
        found = [Metric(row[0], row[1], dict(orjson.loads(row[2]))) for row in rows]
        wanted = (dimensions or {}).items()
        return [metric for metric in found if wanted <= metric.dimensions.items()]

    def get(self, scope: str, metric: Metric, start: float, end: float) -> Sequence[Point]:
        """The data points of one metric from `start` (included) to `end` (not included), by time."""
        rows = self._database.read(
            "SELECT time, count, sum, low, high, unit FROM metric_data WHERE metric = ("
            "SELECT id FROM metric_names WHERE scope = ? AND namespace = ? AND name = ? AND dimensions = ?"
            ") AND time >= ? AND time < ? ORDER BY time, id",
            (scope, metric.namespace, metric.name, _dump(metric.dimensions), start, end),
        )
        return [Point(*row) for row in rows]


_NAME = """
INSERT INTO metric_names (scope, namespace, name, dimensions, updated) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (scope, namespace, name, dimensions)
DO UPDATE SET updated = max(metric_names.updated, excluded.updated) RETURNING id
"""
_POINT = """
INSERT INTO metric_data (metric, time, id, unit, count, sum, low, high)
VALUES (?, ?, (SELECT coalesce(max(id), 0) + 1 FROM metric_data WHERE metric = ? AND time = ?), ?, ?, ?, ?, ?)
"""


def _dump(dimensions: Mapping[str, str]) -> str:
    return orjson.dumps(sorted(dimensions.items())).decode()
