"""How much the buckets hold, told to CloudWatch once a day.

Source: "Amazon S3 daily storage metrics for buckets in CloudWatch", Amazon S3 user guide.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.store.metrics import Metric, Point
from clary.store.records import AlreadyExists, Query, Record

if TYPE_CHECKING:
    from datetime import datetime

    from clary.platform import Platform

KIND = "storage-metrics"
RETRY = timedelta(minutes=5)


class StorageMetricsController:
    """Measures all buckets of an account at midnight UTC; every storage class counts as the standard one."""

    kind = KIND

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def step(self, record: Record, now: datetime) -> Record:
        """Measures and comes again."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        # A restart of the platform makes every record due.
        if record.observed.get("Measured") != midnight.timestamp():
            for bucket in self._platform.records.all(Query("bucket", record.account)):
                self._measure(bucket, midnight.timestamp())
        return replace(record, due=midnight + timedelta(days=1), observed={"Measured": midnight.timestamp()})

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """Tried again later."""
        return replace(record, due=now + RETRY, observed={"Error": reason})

    def _measure(self, bucket: Record, at: float) -> None:
        count, size = self._platform.objects.totals(bucket.name)
        if count:
            points = [
                (_metric("BucketSizeBytes", bucket.name, "StandardStorage"), Point.of(at, size, "Bytes")),
                (_metric("NumberOfObjects", bucket.name, "AllStorageTypes"), Point.of(at, count, "Count")),
            ]
            self._platform.metrics.put(f"{bucket.account}/{bucket.spec['Region']}", points)


def begin(platform: Platform) -> None:
    """Has the buckets measured every midnight from the next one on, if that has not begun before."""
    now = platform.clock.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    record = Record(KIND, platform.settings.account, "", "daily", "", {}, now, now, due=midnight)
    try:
        platform.records.create(record)
    except AlreadyExists:
        return


def _metric(name: str, bucket: str, storage_type: str) -> Metric:
    return Metric("AWS/S3", name, {"BucketName": bucket, "StorageType": storage_type})
