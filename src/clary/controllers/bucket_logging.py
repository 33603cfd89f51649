"""Access logs of buckets on their way to the buckets that keep them."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.context import Context, Principal, PrincipalKind
from clary.errors import ServiceError
from clary.http import FileBody
from clary.store.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from clary.platform import Platform
    from clary.store.records import Record

EVERY = timedelta(minutes=5)
FOLDER = "access-logs"
SERVICE = "logging.s3.amazonaws.com"


class BucketLoggingController:
    """Delivers what the processes that serve have written down."""

    kind = "bucket-logging"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._spool = Spool(platform.settings.home / FOLDER)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Makes one object of each file of lines, as long as logging is on; what has no place to go is dropped."""
        bucket = self._platform.records.by_arn(f"arn:aws:s3:::{record.name}")
        if bucket is None:
            return None
        wanted = (bucket.spec.get("BucketLoggingStatus") or {}).get("LoggingEnabled")
        for _, path in self._spool.take((bucket.account, bucket.spec["Region"], bucket.name)):
            if wanted is not None and path.stat().st_size:
                self._deliver(bucket, wanted, path, now)
            path.unlink()
        return replace(record, due=now + EVERY if wanted is not None else None)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """Tried again with the next files."""
        return replace(record, due=now + EVERY, observed={"Error": reason})

    def _deliver(self, bucket: Record, wanted: dict[str, Any], path: Path, now: datetime) -> None:
        principal = Principal(PrincipalKind.SERVICE, bucket.account, SERVICE, SERVICE, SERVICE)
        ctx = Context(str(uuid.uuid4()), bucket.account, bucket.spec["Region"], principal, "s3", "PutObject", now)
        request = {
            "Bucket": wanted["TargetBucket"],
            "Key": log_key(bucket, wanted, path, now),
            "Body": FileBody(path),
            "ContentLength": path.stat().st_size,
            "ContentType": "text/plain",
        }
        try:
            self._platform.invoke.call(ctx, request)
        except ServiceError as error:
            if error.status >= 500:
                raise


def log_key(bucket: Record, wanted: dict[str, Any], path: Path, now: datetime) -> str:
    """The name of a log object ("Log object key format", Amazon S3 user guide)."""
    layout = (wanted.get("TargetObjectKeyFormat") or {}).get("PartitionedPrefix")
    unique = secrets.token_hex(8).upper()
    if layout is None:
        return f"{wanted['TargetPrefix']}{now:%Y-%m-%d-%H-%M-%S}-{unique}"
    first = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    # Times of events are told by the day alone.
    by_event = layout.get("PartitionDateSource") == "EventTime"
    moment = first.replace(hour=0, minute=0, second=0) if by_event else now
    folder = f"{bucket.account}/{bucket.spec['Region']}/{bucket.name}/{moment:%Y/%m/%d}"
    return f"{wanted['TargetPrefix']}{folder}/{moment:%Y-%m-%d-%H-%M-%S}-{unique}"
