"""The tags of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.http import Reply
from clary.services.s3 import events
from clary.services.s3.bucket import bucket_of
from clary.services.s3.meta import MAX_OBJECT_TAGS, tag_set, tags_of_set
from clary.services.s3.objects import version_member
from clary.services.s3.reading import readable

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Meta, Version
    from clary.store.records import Record


class Tagging:
    """Tags on an object, or on one version of it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_object_tagging(self, ctx: Context, request: api.PutObjectTaggingRequest) -> Document:
        """Replaces the tags."""
        return self._tag(ctx, request, tags_of_set(request["Tagging"].get("TagSet") or (), MAX_OBJECT_TAGS))

    def get_object_tagging(self, ctx: Context, request: api.GetObjectTaggingRequest) -> Document:
        """The tags."""
        bucket, version = self._version(ctx, request)
        return {"TagSet": tag_set(version.meta.tags), **version_member(bucket, version)}

    def delete_object_tagging(self, ctx: Context, request: api.DeleteObjectTaggingRequest) -> Reply:
        """Removes the tags."""
        return Reply(self._tag(ctx, request, {}), 204)

    def _tag(self, ctx: Context, request: Members, tags: dict[str, str]) -> Document:
        bucket, version = self._version(ctx, request)

        def change(meta: Meta) -> None:
            meta.tags = tags

        with self._platform.objects.index.transaction():
            self._platform.objects.index.edit(version, change)
            events.changed(self._platform, ctx, bucket, version)
        return version_member(bucket, version)

    def _version(self, ctx: Context, request: Members) -> tuple[Record, Version]:
        bucket = bucket_of(self._platform, request)
        return bucket, readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
