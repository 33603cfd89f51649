"""Replicas in another bucket of the same platform: they share the content, and bear the ids of their originals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clary import object_events
from clary.controllers.replicas import REPLICA, Refused, complete
from clary.object_events import Happening
from clary.store.objects import Meta, NewObject, Protection
from clary.store.objects.checksums import DEFAULT

if TYPE_CHECKING:
    from clary.platform import Platform
    from clary.store.objects import Content, Version
    from clary.store.objects.events import Pending
    from clary.store.records import Record


class ReplicaHere:
    """A bucket of this platform that receives replicas."""

    def __init__(self, platform: Platform, arn: str) -> None:
        self._platform = platform
        self._objects = platform.objects
        self._arn = arn
        self.bucket: Record | None = platform.records.by_arn(arn)

    def make(self, version: Version, event: Pending) -> None:
        """Makes the replica in one transaction with what is noted about it, so it is made once.

        Raises:
            Refused: the bucket is gone or keeps no versions, or the bytes are under a key that only the customer has.
        """
        if self.bucket is None or self.bucket.spec.get("Versioning", {}).get("Status") != "Enabled":
            raise Refused("the bucket does not exist, or its versioning is not enabled")
        if event.event["What"] == "marker":
            self._mark(self.bucket, version, event)
        elif event.event["What"] == "description":
            self._describe(self.bucket, version)
        elif version.meta.customer_key:
            raise Refused("it is encrypted with a customer's key")
        else:
            asyncio.run(self._copy(self.bucket, version, event))

    def close(self) -> None:
        """Nothing is open."""

    async def _copy(self, bucket: Record, version: Version, event: Pending) -> None:
        algorithm = version.checksum.algorithm if version.checksum else DEFAULT
        async with self._objects.copied(version, algorithm, None, Protection()) as content:
            self._put(bucket, version, event, content)

    def _put(self, bucket: Record, version: Version, event: Pending, content: Content) -> None:
        meta = version.meta
        headers = {**meta.headers, **_storage_class(event)}
        lock = meta.lock if "ObjectLockConfiguration" in bucket.spec else {}
        replica = Meta(headers, meta.metadata, meta.tags, lock=lock, replication={"": REPLICA})
        new = NewObject(
            bucket.name, version.key, version.size, version.etag, version.modified, version.checksum, replica,
            version.version_id,
        )  # fmt: skip
        with self._objects.index.transaction():
            if self._objects.index.get(bucket.name, version.key, version.version_id) is None:
                made = self._objects.index.put(new, content, "Enabled")
                self._tell(bucket, "ObjectCreated:Put", made)
            self._objects.index.edit(version, lambda meta: complete(meta, self._arn))
            self._objects.events.done([event])

    def _describe(self, bucket: Record, version: Version) -> None:
        """Brings the tags of a replica up to date."""
        replica = self._objects.index.get(bucket.name, version.key, version.version_id)
        if replica is not None:
            tags = version.meta.tags

            def change(meta: Meta) -> None:
                meta.tags = tags

            self._objects.index.edit(replica, change)

    def _mark(self, bucket: Record, marker: Version, event: Pending) -> None:
        with self._objects.index.transaction():
            made = self._objects.index.remove(bucket.name, marker.key, "Enabled", marker.modified)
            if made is not None:
                self._tell(bucket, "ObjectRemoved:DeleteMarkerCreated", made)
            self._objects.events.done([event])

    def _tell(self, bucket: Record, name: str, version: Version) -> None:
        if object_events.asks(bucket):
            happening = Happening.by_platform(name, version, self._platform.clock.now(), version.version_id)
            object_events.tell(self._platform, bucket, happening)


def _storage_class(event: Pending) -> dict[str, str]:
    name = event.event["StorageClass"]
    return {"StorageClass": name} if name else {}
