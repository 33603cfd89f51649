"""Copy objects and parts of them, on the server."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from clary.services.s3 import encryption, integrity, replication
from clary.services.s3.archive import refuse_archived
from clary.services.s3.bucket import bucket_of, versioning_of
from clary.services.s3.conditions import refuse_unmet, write_condition
from clary.services.s3.copy_source import CopySource
from clary.services.s3.errors import InvalidArgument, InvalidRequest, NoSuchUpload, PreconditionFailed
from clary.services.s3.events import changed
from clary.services.s3.lifecycle import expiration_member
from clary.services.s3.meta import meta_of
from clary.services.s3.multipart import part_number
from clary.services.s3.objects import version_member
from clary.services.s3.reading import readable
from clary.store.objects import NewObject, Version, chunks
from clary.store.objects.checksums import DEFAULT

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Meta
    from clary.store.records import Record

MAX_COPY_BYTES = 5 << 30

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_OWN = ("StorageClass", "WebsiteRedirectLocation")
"""What a copy has only when its request says so ("CopyObject", Amazon S3 API reference)."""
_CHANGES = ("StorageClass", "WebsiteRedirectLocation", "SSECustomerAlgorithm", *encryption.MEMBERS)
"""What a copy may have otherwise than its source; how it is encrypted is never taken over."""


class Copying:
    """Copies of whole objects and of ranges."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._objects = platform.objects

    async def copy_object(self, ctx: Context, request: api.CopyObjectRequest) -> Document:
        """Copies an object, with what is said about it or with something new."""
        target = bucket_of(self._platform, request)
        source = CopySource.parse(request["CopySource"])
        origin, version = self._source(ctx, request, source)
        if version.size > MAX_COPY_BYTES:
            raise InvalidRequest(
                "The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{MAX_COPY_BYTES}"
            )
        meta = _meta(ctx, request, target, version)
        _refuse_idle(request, source)
        condition = write_condition(request)
        kept = version.checksum.algorithm if version.checksum else DEFAULT
        key = encryption.unlocked(version.meta, request, "CopySource")
        protection = encryption.protection(meta, request)
        async with self._objects.copied(version, integrity.algorithm_of(request, kept), key, protection) as content:
            target = bucket_of(self._platform, request)
            checksum = integrity.computed(content)
            new = NewObject(
                target.name,
                request["Key"],
                content.size,
                content.etag,
                int(ctx.now.timestamp()),
                checksum,
                meta,
            )
            replication.mark(target, new.key, meta)
            with self._objects.index.transaction():
                copy = self._objects.index.put(new, content, versioning_of(target), condition)
                changed(self._platform, ctx, target, copy)
        result = {"ETag": copy.etag, "LastModified": copy.modified, **integrity.told(checksum)}
        members = {"CopyObjectResult": result, **encryption.told(meta, request), **version_member(target, copy)}
        return {**members, **_source_version(origin, version), **expiration_member(target, copy)}

    async def upload_part_copy(self, ctx: Context, request: api.UploadPartCopyRequest) -> Document:
        """Takes a part from an object that is there already."""
        bucket = bucket_of(self._platform, request)
        upload = self._objects.uploads.get(bucket.name, request["Key"], request["UploadId"])
        if upload is None:
            raise NoSuchUpload(request["UploadId"])
        number = part_number(request)
        origin, version = self._source(ctx, request, CopySource.parse(request["CopySource"]))
        start, end = _copy_range(request.get("CopySourceRange"), version.size)
        encryption.refuse_other_key(upload.meta, request)
        protection = encryption.protection(upload.meta, request)
        key = encryption.unlocked(version.meta, request, "CopySource")
        body = chunks(self._objects.read(version, start, end, key=key))
        async with self._objects.received(body, (upload.algorithm,), protection, in_file=True) as content:
            checksum = integrity.computed(content)
            if not self._objects.uploads.put_part(upload, number, content, checksum, ctx.now.timestamp()):
                raise NoSuchUpload(upload.upload_id)
        told = {f"Checksum{checksum.algorithm}": checksum.value}
        result = {"ETag": content.etag, "LastModified": ctx.now, **told}
        return {"CopyPartResult": result, **encryption.told(upload.meta, request), **_source_version(origin, version)}

    def _source(self, ctx: Context, request: Members, source: CopySource) -> tuple[Record, Version]:
        origin = bucket_of(
            self._platform, {**request, "Bucket": source.bucket}, owner_member="ExpectedSourceBucketOwner"
        )
        version = readable(self._platform, ctx, origin, source.key, source.version_id, content=True)
        if refuse_unmet(request, version, "CopySource"):
            raise PreconditionFailed("x-amz-copy-source-If-None-Match")
        refuse_archived(ctx, version, as_source=True)
        return origin, version


def _meta(ctx: Context, request: Members, target: Record, version: Version) -> Meta:
    """What the copy bears: the source's headers, metadata and tags unless the request replaces them."""
    asked = meta_of(ctx, request, target)
    source = version.meta
    replaces = _directive(request, "MetadataDirective") == "REPLACE"
    headers = asked.headers if replaces else {**_taken_over(source.headers), **_changed(asked.headers)}
    metadata = asked.metadata if replaces else source.metadata
    tags = asked.tags if _directive(request, "TaggingDirective") == "REPLACE" else source.tags
    return replace(asked, headers=headers, metadata=metadata, tags=tags)


def _directive(request: Members, name: str) -> str:
    value = str(request.get(name) or "COPY")
    if value not in ("COPY", "REPLACE"):
        header = "x-amz-metadata-directive" if name == "MetadataDirective" else "x-amz-tagging-directive"
        raise InvalidArgument("Unknown directive.", header, value)
    return value


def _taken_over(headers: Members) -> Document:
    left = (*encryption.MEMBERS, *_OWN)
    return {name: value for name, value in headers.items() if name not in left}


def _changed(headers: Members) -> Document:
    return {name: headers[name] for name in _CHANGES if name in headers}


def _refuse_idle(request: Members, source: CopySource) -> None:
    """A copy of an object onto itself must change something."""
    onto_itself = (source.bucket, source.key) == (request["Bucket"], request["Key"]) and source.version_id is None
    if onto_itself and _directive(request, "MetadataDirective") == "COPY" and not _changed(request):
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )


def _copy_range(asked: str | None, size: int) -> tuple[int, int]:
    if asked is None:
        return 0, size
    match = _RANGE.fullmatch(asked)
    if match is None or int(match[1]) > int(match[2]):
        message = (
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy"
        )
        raise InvalidArgument(message, "x-amz-copy-source-range", asked)
    if int(match[2]) >= size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise InvalidArgument(message, "x-amz-copy-source-range", asked)
    return int(match[1]), int(match[2]) + 1


def _source_version(origin: Record, version: Version) -> Document:
    return {"CopySourceVersionId": version.version_id} if versioning_of(origin) else {}
