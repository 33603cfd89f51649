"""Metrics that a monitoring container leaves in files, brought to CloudWatch.

Source: "CloudWatch metrics for bring your own containers", SageMaker developer guide, Model Monitor.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clary.controllers import leavings
from clary.store.metrics import Metric, Point

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clary.platform import Platform
    from clary.store.records import Record

NAMESPACE = "aws/sagemaker/Endpoints/data-metrics"
SCHEDULE = "sagemaker_monitoring_schedule_name"
"""The variable by which the job of a monitoring execution is told from others."""

FOLDER = "ml/output/metrics/cloudwatch"
FILE_BYTES = 1 << 20
"""How much of one file is read."""

log = logging.getLogger(__name__)


def ship_metrics(platform: Platform, job: Record, bundle: Path) -> None:
    """Stores what a job has left to tell; a line that is none of the contract's is left out."""
    if SCHEDULE not in job.spec.get("Environment", {}):
        return
    points = []
    for line in _lines(bundle):
        try:
            points.append(_point(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s: a line is no metric: %s", job.name, error)
    if points:
        platform.metrics.put(f"{job.account}/{job.region}", points)


def _lines(bundle: Path) -> Iterator[str]:
    with suppress(leavings.LeadsOut):
        for path in leavings.files(bundle, bundle / FOLDER):
            if path.suffix == ".jsonl":
                name = str(path.relative_to(bundle))
                yield from leavings.part(bundle, name, FILE_BYTES).decode("utf-8", "replace").splitlines()


def _point(entry: dict[str, Any]) -> tuple[Metric, Point]:
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in entry.get("Dimensions", ())}
    metric = Metric(NAMESPACE, entry["MetricName"], dimensions)
    moment = datetime.fromisoformat(entry["Timestamp"]).timestamp()
    unit = entry.get("Unit", "None")
    if "StatisticValues" not in entry:
        return metric, Point.of(moment, float(entry["Value"]), unit)
    values = entry["StatisticValues"]
    count, total, low, high = (float(values[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum"))
    return metric, Point(moment, count, total, low, high, unit)
