"""The lifecycle of buckets: what the rules say is done every midnight UTC, and at once when they change.

A pass goes over the keys in pages and changes a few versions at a time, so that requests hardly wait. It remembers how
far it came; done twice, an action finds that there is nothing to do.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from clary import object_events
from clary.errors import ServiceError
from clary.object_events import Happening
from clary.store.objects import lifecycle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from clary.platform import Platform
    from clary.store.objects import Meta, Version
    from clary.store.objects.lifecycle import Due, Rule
    from clary.store.records import Record

STEP_S = 2.0
"""How long a step may take before others get a turn."""

BATCH = 50
"""How many keys are looked through, and changed, in one go."""

RETRY = timedelta(minutes=5)


class _Changed(Exception):
    """The version is not the current one any more."""


class BucketLifecycleController:
    """Lets objects expire, change their storage class, and uploads be given up."""

    kind = "bucket-lifecycle"

    def __init__(self, platform: Platform, step_s: float = STEP_S, batch: int = BATCH) -> None:
        self._platform = platform
        self._step_s = step_s
        self._batch = batch
        self._objects = platform.objects
        self._index = platform.objects.index

    def step(self, record: Record, now: datetime) -> Record | None:
        """Goes on with the pass under way; the record tells where it stands and what the last pass did."""
        bucket = self._platform.records.by_arn(f"arn:aws:s3:::{record.name}")
        if bucket is None:
            return None
        rules = lifecycle.rules(bucket.spec)
        if not rules:
            return replace(record, due=None, observed={})
        midnight = next_midnight(now) - timedelta(days=1)
        if record.observed.get("Finished", 0.0) >= midnight.timestamp():
            # A restart of the platform makes every record due, but nothing new is before the next midnight.
            return replace(record, due=next_midnight(now))
        done: dict[str, int] = dict(record.observed.get("Done", {}))
        cursor = self._go_on(bucket, rules, now, (str(record.observed.get("Cursor", "")), done))
        if cursor:
            return replace(record, due=now, observed={"Done": done, "Cursor": cursor})
        self._abort_uploads(bucket, rules, now, done)
        finished = {"Finished": now.timestamp(), "LastDone": done}
        return replace(record, due=next_midnight(now), observed=finished)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """Tried again later, from the beginning."""
        return replace(record, due=now + RETRY, observed={"Error": reason})

    def _go_on(self, bucket: Record, rules: Sequence[Rule], now: datetime, place: tuple[str, dict[str, int]]) -> str:
        """Works for a while; tells the last key that was done, empty when no key is left."""
        cursor, done = place
        until = time.monotonic() + self._step_s
        keys = self._objects.by_key(bucket.name, cursor)
        while True:
            found: list[Due] = []
            count = 0
            for key, versions in islice(keys, self._batch):
                found.extend(lifecycle.due(rules, versions, now))
                cursor, count = key, count + 1
            self._carry_out(bucket, found, now, done)
            if count < self._batch:
                return ""
            if time.monotonic() >= until:
                return cursor

    def _carry_out(self, bucket: Record, found: Sequence[Due], now: datetime, done: dict[str, int]) -> None:
        for start in range(0, len(found), self._batch):
            with self._index.transaction():
                for action in found[start : start + self._batch]:
                    if self._perform(bucket, action, now):
                        done[action.action] = done.get(action.action, 0) + 1

    def _perform(self, bucket: Record, action: Due, now: datetime) -> bool:
        """Does one thing if it is still to be done; a locked version stays."""
        with suppress(ServiceError, _Changed):
            if action.action == "Expiration":
                return self._expire(bucket, action.version, now)
            if action.storage_class:
                return self._move(bucket, action)
            return self._remove(bucket, action, now)
        return False

    def _expire(self, bucket: Record, version: Version, now: datetime) -> bool:
        def still_current(current: Version | None) -> None:
            # The number of a version that was removed may be given to another one.
            if current is None or (current.sequence, current.modified) != (version.sequence, version.modified):
                raise _Changed

        versioning = bucket.spec.get("Versioning", {}).get("Status", "")
        marker = self._index.remove(bucket.name, version.key, versioning, int(now.timestamp()), still_current)
        name = "LifecycleExpiration:Delete" if marker is None else "LifecycleExpiration:DeleteMarkerCreated"
        self._tell(bucket, name, marker or version)
        return True

    def _remove(self, bucket: Record, action: Due, now: datetime) -> bool:
        version = action.version
        latest = self._objects.versions_of(version.bucket, version.key, 2)
        if action.action == "ExpiredObjectDeleteMarker" and [each.sequence for each in latest] != [version.sequence]:
            return False
        if action.action == "NoncurrentVersionExpiration" and latest[:1] and latest[0].sequence == version.sequence:
            return False
        removed = self._index.remove_version(version.bucket, version.key, version.version_id, now.timestamp())
        if removed is None:
            return False
        self._tell(bucket, "LifecycleExpiration:Delete", removed)
        return True

    def _move(self, bucket: Record, action: Due) -> bool:
        version = self._index.get(action.version.bucket, action.version.key, action.version.version_id)
        if version is None or version.sequence != action.version.sequence:
            return False

        def move(meta: Meta) -> None:
            meta.headers["StorageClass"] = action.storage_class

        self._index.edit(version, move)
        self._tell(bucket, "LifecycleTransition", version)
        return True

    def _tell(self, bucket: Record, name: str, version: Version) -> None:
        if object_events.asks(bucket):
            version_id = version.version_id if bucket.spec.get("Versioning") else ""
            happening = Happening.by_platform(name, version, self._platform.clock.now(), version_id)
            object_events.tell(self._platform, bucket, happening)

    def _abort_uploads(self, bucket: Record, rules: Sequence[Rule], now: datetime, done: dict[str, int]) -> None:
        for upload, _ in list(lifecycle.overdue(self._objects.uploads, bucket.name, rules, now)):
            if self._objects.uploads.abort(upload):
                done["AbortIncompleteMultipartUpload"] = done.get("AbortIncompleteMultipartUpload", 0) + 1


def next_midnight(now: datetime) -> datetime:
    """When the day ends, in UTC."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
