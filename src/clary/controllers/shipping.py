"""Captured records to S3 and invocation counters to CloudWatch."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from clary.controllers.identity import role_context
from clary.controllers.staging import Stager
from clary.store.metrics import Metric, Point

if TYPE_CHECKING:
    from datetime import datetime

    from clary.platform import Platform
    from clary.proxy import Counters
    from clary.store.records import Record

NAMESPACE = "AWS/SageMaker"


def ship_capture(platform: Platform, record: Record, role_arn: str) -> None:
    """Moves what was captured since the last time below the destination, as the execution role.

    Key: `{destination}/{endpoint}/{variant}/yyyy/mm/dd/hh/mm-ss-ms-uuid.jsonl`, in UTC.
    """
    capture = record.observed.get("DataCaptureConfig")
    batches = platform.spool.take((record.account, record.region, record.name)) if capture else []
    if not capture or not batches:
        return
    stager = Stager(platform, lambda operation: role_context(platform, record, role_arn, "s3", operation), role_arn)
    for variant, path in batches:
        now = platform.clock.now()
        name = f"{now:%M-%S}-{now.microsecond // 1000:03}-{uuid.uuid4()}.jsonl"
        stager.upload(
            path, f"{capture['DestinationS3Uri'].rstrip('/')}/{record.name}/{variant}/{now:%Y/%m/%d/%H}/{name}"
        )
        path.unlink()


def ship_counters(platform: Platform, record: Record, now: datetime) -> None:
    """Turns the proxy's counters into the metrics that AWS has for endpoints."""
    points: list[tuple[Metric, Point]] = []
    for variant, counters in platform.proxy.take_counters((record.account, record.region, record.name)).items():
        if counters.invocations:
            points.extend(_points(record.name, variant, counters, now.timestamp()))
    if points:
        platform.metrics.put(f"{record.account}/{record.region}", points)


def _points(endpoint: str, variant: str, counters: Counters, moment: float) -> list[tuple[Metric, Point]]:
    dimensions = {"EndpointName": endpoint, "VariantName": variant}
    counts = {
        "Invocations": counters.invocations,
        "Invocation4XXErrors": counters.errors_4xx,
        "Invocation5XXErrors": counters.errors_5xx,
    }
    points = [(Metric(NAMESPACE, name, dimensions), Point.of(moment, value, "Count")) for name, value in counts.items()]
    latencies = counters.latencies
    if latencies:
        summary = Point(moment, len(latencies), sum(latencies), min(latencies), max(latencies), "Microseconds")
        points.append((Metric(NAMESPACE, "ModelLatency", dimensions), summary))
    return points
