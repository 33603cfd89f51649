"""Tells what requests do to objects, by S3's names for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import object_events
from clary.object_events import Happening
from clary.services.s3 import replication
from clary.services.s3.bucket import versioning_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.context import Context
    from clary.platform import Platform
    from clary.store.objects import Version
    from clary.store.records import Record

_NAMES: Mapping[str, tuple[str, ...]] = {
    "PutObject": ("ObjectCreated:Put",),
    "PostObject": ("ObjectCreated:Post",),
    "CopyObject": ("ObjectCreated:Copy",),
    "CompleteMultipartUpload": ("ObjectCreated:CompleteMultipartUpload",),
    "PutObjectTagging": ("ObjectTagging:Put",),
    "DeleteObjectTagging": ("ObjectTagging:Delete",),
    "PutObjectAcl": ("ObjectAcl:Put",),
    "RestoreObject": ("ObjectRestore:Post", "ObjectRestore:Completed"),
}
"""What an operation that changes a version is called; restorations are complete at once."""

_REPLICATED: Mapping[str, str] = {"ObjectCreated": "version", "ObjectTagging": "description"}


def changed(platform: Platform, ctx: Context, bucket: Record, version: Version) -> None:
    """Tells what the operation of the request did to a version; call it within the transaction of the change."""
    names = _NAMES[ctx.operation]
    if object_events.asks(bucket):
        for name in names:
            _tell(platform, ctx, bucket, (name, version.key, version))
    what = _REPLICATED.get(names[0].partition(":")[0])
    if replication.CONFIGURATION in bucket.spec and what is not None:
        replication.enqueue(platform, bucket, version, what, ctx.now)


def deleted(platform: Platform, ctx: Context, bucket: Record, key: str, version: Version | None) -> None:
    """Tells that a version is gone; None: the key is, in a bucket without versions."""
    if object_events.asks(bucket):
        _tell(platform, ctx, bucket, ("ObjectRemoved:Delete", key, version))


def marked(platform: Platform, ctx: Context, bucket: Record, marker: Version) -> None:
    """Tells that a delete marker hides a key."""
    if object_events.asks(bucket):
        _tell(platform, ctx, bucket, ("ObjectRemoved:DeleteMarkerCreated", marker.key, marker))
    if replication.CONFIGURATION in bucket.spec:
        replication.enqueue_marker(platform, bucket, marker, ctx.now)


def _tell(platform: Platform, ctx: Context, bucket: Record, what: tuple[str, str, Version | None]) -> None:
    happening = Happening.of(ctx, *what, versioned=bool(versioning_of(bucket)))
    object_events.tell(platform, bucket, happening)
