"""Archived objects: they are read only after they were restored, and for as long as they are.

The bytes stay where they are, so a restoration is done at once.

Source: "RestoreObject", Amazon S3 API reference; "Restoring an archived object", Amazon S3 user guide.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from clary.errors import NotSupported
from clary.http import Reply
from clary.services.s3.bucket import bucket_of
from clary.services.s3.errors import InvalidObjectState, MalformedXML, ObjectNotInActiveTierError
from clary.services.s3.events import changed
from clary.services.s3.reading import readable

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.objects import Meta, Version

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read as they are."""


class Archive:
    """The way out of an archive."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def restore_object(self, ctx: Context, request: api.RestoreObjectRequest) -> Reply:
        """Makes an archived object readable for some days; 200 when it was already, 202 when not."""
        asked = request.get("RestoreRequest") or {}
        if asked.get("Type") or asked.get("SelectParameters") or asked.get("OutputLocation"):
            raise NotSupported("Clary does not support SELECT requests to archives: restore the object and ask then.")
        days = asked.get("Days")
        if not days or days < 1:
            raise MalformedXML
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
        if storage_class(version.meta) not in ARCHIVES:
            raise InvalidObjectState(
                "Restore is not allowed for the object's current storage class",
                StorageClass=storage_class(version.meta),
            )
        until = _midnight_after(ctx.now + timedelta(days=days)).timestamp()

        def restore(meta: Meta) -> None:
            meta.restored = until

        with self._platform.objects.index.transaction():
            self._platform.objects.index.edit(version, restore)
            changed(self._platform, ctx, bucket, version)
        return Reply({}, 200 if version.meta.restored > ctx.now.timestamp() else 202)


def storage_class(meta: Meta) -> str:
    """The storage class of an object."""
    return str(meta.headers.get("StorageClass", "STANDARD"))


def refuse_archived(ctx: Context, version: Version, *, as_source: bool = False) -> None:
    """Accepts an object whose bytes may be read.

    Raises:
        InvalidObjectState: it is archived; ObjectNotInActiveTierError for the source of a copy.
    """
    meta = version.meta
    if storage_class(meta) not in ARCHIVES or meta.restored > ctx.now.timestamp():
        return
    if as_source:
        raise ObjectNotInActiveTierError
    raise InvalidObjectState(
        "The operation is not valid for the object's storage class", StorageClass=storage_class(meta)
    )


def restore_member(ctx: Context, version: Version) -> Document:
    """What headers tell of a restoration that lasts."""
    until = version.meta.restored
    if until <= ctx.now.timestamp():
        return {}
    date = datetime.fromtimestamp(until, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return {"Restore": f'ongoing-request="false", expiry-date="{date}"'}


def _midnight_after(moment: datetime) -> datetime:
    day = moment.astimezone(UTC).date() + timedelta(days=1)
    return datetime.combine(day, time(), UTC)
