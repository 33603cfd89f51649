from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.store.metrics import Metric, Metrics, Point

if TYPE_CHECKING:
    from clary.store.database import Database

SCOPE = "1/r"


@pytest.fixture
def metrics(database: Database) -> Metrics:
    return Metrics(database)


def test_points_come_back_by_time(metrics: Metrics) -> None:
    loss = Metric("N", "loss", {"Job": "a"})
    metrics.put(SCOPE, [(loss, Point.of(2, 0.5)), (loss, Point.of(1, 0.9)), (loss, Point.of(2, 0.4, "Count"))])
    found = metrics.get(SCOPE, loss, 0, 3)
    assert [(point.time, point.sum) for point in found] == [(1, 0.9), (2, 0.5), (2, 0.4)]
    assert [point.sum for point in metrics.get(SCOPE, loss, 1, 2)] == [0.9]
    assert metrics.get(SCOPE, Metric("N", "loss"), 0, 3) == []
    assert metrics.get("1/other", loss, 0, 3) == []


def test_metrics_are_found_by_parts_of_their_dimensions(metrics: Metrics) -> None:
    one, two = Metric("N", "x", {"A": "1", "B": "2"}), Metric("M", "x", {"A": "1"})
    metrics.put(SCOPE, [(one, Point.of(0, 1)), (two, Point.of(0, 1))])
    assert metrics.find(SCOPE) == [two, one]
    assert metrics.find(SCOPE, "N") == [one]
    assert metrics.find(SCOPE, name="x", dimensions={"B": "2"}) == [one]
    assert metrics.find(SCOPE, dimensions={"B": "3"}) == []
