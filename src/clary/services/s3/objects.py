"""Objects: put, get, head, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.context import PrincipalKind
from clary.errors import ServiceError
from clary.http import Reply
from clary.services.s3 import encryption, integrity, mfa_delete, replication
from clary.services.s3.access import Target, object_checks
from clary.services.s3.archive import refuse_archived, restore_member
from clary.services.s3.bucket import KIND, bucket_of, versioning_of
from clary.services.s3.conditions import delete_condition, refuse_unmet, write_condition
from clary.services.s3.errors import EntityTooLarge, InvalidRequest, MalformedXML
from clary.services.s3.events import changed, deleted, marked
from clary.services.s3.lifecycle import expiration_member
from clary.services.s3.lock import lock_members, may_bypass, refuse_unchecked
from clary.services.s3.meta import DEFAULT_CONTENT_TYPE, meta_of, refuse_unsupported
from clary.services.s3.reading import extent, readable
from clary.services.service import in_thread
from clary.store.objects import NewObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Content, Version
    from clary.store.records import Record

MAX_DELETE_KEYS = 1000
MAX_PUT_BYTES = 5 << 30

_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


class Objects:
    """Single objects."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._objects = platform.objects

    async def put_object(self, ctx: Context, request: api.PutObjectRequest) -> Document:
        """Stores an object, visible as a whole once it is complete."""
        bucket, version = await store(self._platform, ctx, request)
        return {**written(bucket, version, request), "ETag": version.etag}

    def get_object(self, ctx: Context, request: api.GetObjectRequest) -> Reply:
        """Answers an object or a part of it."""
        return self._read(ctx, request, content=True)

    def head_object(self, ctx: Context, request: api.HeadObjectRequest) -> Reply:
        """Answers what GetObject would, without the bytes."""
        return self._read(ctx, request, content=False)

    def delete_object(self, ctx: Context, request: api.DeleteObjectRequest) -> Document:
        """Removes an object, or puts a delete marker in its place."""
        bucket = bucket_of(self._platform, request)
        if request.get("VersionId") and mfa_delete.is_on(bucket):
            mfa_delete.refuse_without_code(self._platform, ctx, request)
        removed = self._delete(ctx, bucket, request)
        members = {"VersionId": removed.get("DeleteMarkerVersionId", removed.get("VersionId"))}
        return {**members, **({"DeleteMarker": True} if removed.get("DeleteMarker") else {})}

    @in_thread
    def delete_objects(self, ctx: Context, request: api.DeleteObjectsRequest) -> Document:
        """Removes up to a thousand objects, each for itself."""
        bucket = bucket_of(self._platform, request)
        wanted = request.get("Delete", {}).get("Objects") or []
        if not 0 < len(wanted) <= MAX_DELETE_KEYS:
            raise MalformedXML
        if mfa_delete.is_on(bucket) and any(each.get("VersionId") for each in wanted):
            mfa_delete.refuse_without_code(self._platform, ctx, request)
        beside = {"BypassGovernanceRetention": request.get("BypassGovernanceRetention")}
        deleted: list[Document] = []
        errors: list[Document] = []
        # One transaction for all of them costs little more than one for each of them would.
        with self._objects.index.transaction():
            for each in wanted:
                try:
                    deleted.append(self._delete_allowed(ctx, bucket, {**each, **beside}))
                except ServiceError as error:
                    named: Document = {name: each[name] for name in ("Key", "VersionId") if name in each}
                    errors.append({**named, "Code": error.code, "Message": error.message})
        return {"Errors": errors} if request["Delete"].get("Quiet") else {"Deleted": deleted, "Errors": errors}

    def _delete_allowed(self, ctx: Context, bucket: Record, wanted: Members) -> Document:
        target = Target(bucket, wanted["Key"], wanted.get("VersionId"))
        self._platform.authorizer.authorize(ctx, object_checks(self._platform, ctx, target, ("DeleteObject",), wanted))
        return self._delete(ctx, bucket, wanted)

    def _delete(self, ctx: Context, bucket: Record, wanted: Members) -> Document:
        """Removes one object; tells it as DeleteObjects does."""
        key = wanted["Key"]
        with self._objects.index.transaction():
            if wanted.get("VersionId"):
                return self._delete_version(ctx, bucket, wanted)
            now, condition = int(ctx.now.timestamp()), delete_condition(wanted)
            marker = self._objects.index.remove(bucket.name, key, versioning_of(bucket), now, condition)
            if marker is None:
                deleted(self._platform, ctx, bucket, key, None)
                return {"Key": key}
            marked(self._platform, ctx, bucket, marker)
        return {"Key": key, "DeleteMarker": True, "DeleteMarkerVersionId": marker.version_id}

    def _delete_version(self, ctx: Context, bucket: Record, wanted: Members) -> Document:
        key, version_id = wanted["Key"], wanted["VersionId"]
        now, bypass = ctx.now.timestamp(), may_bypass(self._platform, ctx, bucket, wanted)
        version = self._objects.index.remove_version(bucket.name, key, version_id, now, bypass=bypass)
        told: Document = {"Key": key, "VersionId": version_id}
        if version is not None:
            deleted(self._platform, ctx, bucket, key, version)
            if version.deleted:
                told.update(DeleteMarker=True, DeleteMarkerVersionId=version_id)
        return told

    def _read(self, ctx: Context, request: Members, *, content: bool) -> Reply:
        refuse_unsupported(request)
        bucket = bucket_of(self._platform, request)
        # The content tells the parts, too.
        with_content = content or request.get("PartNumber") is not None
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"), content=with_content)
        members = {
            **described(version, request),
            **version_member(bucket, version),
            **expiration_member(bucket, version),
            **lock_members(self._platform, ctx, bucket, version),
            **restore_member(ctx, version),
        }
        key = encryption.unlocked(version.meta, request)
        if refuse_unmet(request, version):
            return Reply({name: members[name] for name in _NOT_MODIFIED if name in members}, 304)
        if content:
            refuse_archived(ctx, version)
        part = extent(self._objects, version, request)
        members["ContentLength"] = part.end - part.start
        if part.parts:
            members["PartsCount"] = part.parts
        if part.partial:
            members["ContentRange"] = f"bytes {part.start}-{part.end - 1}/{version.size}"
        elif request.get("ChecksumMode"):
            members.update(integrity.told(version.checksum))
        self._override(ctx, request, members)
        if content:
            members["Body"] = self._objects.read(version, part.start, part.end, key=key)
        return Reply(members, 206 if part.partial else 200)

    def _override(self, ctx: Context, request: Members, members: Document) -> None:
        """Headers of the answer that the caller chose."""
        for name in _OVERRIDES.keys() & request.keys():
            if request[name] is None:
                continue
            if ctx.principal.kind is PrincipalKind.ANONYMOUS:
                raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
            members[_OVERRIDES[name]] = request[name]


def _accept_anything(_: Content) -> None:
    """What PutObject asks of received content beside its digests."""


async def store(
    platform: Platform, ctx: Context, request: Members, accept: Callable[[Content], None] = _accept_anything
) -> tuple[Record, Version]:
    """Makes the body of a request an object; `accept` may refuse it once it has arrived.

    Raises:
        ServiceError: the bucket, the body or what is said about it is not as it must be.
    """
    revision, bucket = platform.records.revision(KIND), bucket_of(platform, request)
    meta = meta_of(ctx, request, bucket)
    refuse_unchecked(request)
    claims = integrity.claims(request)
    condition = write_condition(request)
    body = request["Body"]
    protection = encryption.protection(meta, request)
    async with platform.objects.received(limited(body), (claims.algorithm,), protection) as content:
        checksum = await integrity.verified(platform.objects, claims, content, body, protection.customer_key)
        accept(content)
        now = int(ctx.now.timestamp())
        new = NewObject(request["Bucket"], request["Key"], content.size, content.etag, now, checksum, meta)

        def write() -> tuple[Record, Version]:
            # The bucket may have been deleted, or its versioning changed, while the body arrived.
            same = platform.records.revision(KIND) == revision
            current = bucket if same else bucket_of(platform, request)
            replication.mark(current, new.key, meta)
            version = platform.objects.index.put(new, content, versioning_of(current), condition)
            changed(platform, ctx, current, version)
            return current, version

        return await platform.objects.group.write(write)


async def limited(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, refused as soon as there are more than one request may bring.

    Raises:
        EntityTooLarge: so it is.
    """
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > MAX_PUT_BYTES:
            raise EntityTooLarge(size, MAX_PUT_BYTES)
        yield chunk


def written(bucket: Record, version: Version, request: Members) -> Document:
    """What the answer to a write tells beside the ETag."""
    return {
        **integrity.told(version.checksum),
        **encryption.told(version.meta, request),
        **version_member(bucket, version),
        **expiration_member(bucket, version),
    }


def described(version: Version, request: Members) -> Document:
    """What the headers of an answer tell of a version."""
    meta = version.meta
    members: Document = {
        "AcceptRanges": "bytes",
        "ContentType": DEFAULT_CONTENT_TYPE,
        **meta.headers,
        **encryption.told(meta, request),
        "ETag": version.etag,
        "LastModified": version.modified,
        "ContentLength": version.size,
        "Metadata": meta.metadata,
    }
    if members.get("StorageClass") == "STANDARD":
        # "Amazon S3 returns this header for all objects except for S3 Standard storage class objects" (GetObject).
        del members["StorageClass"]
    if meta.tags:
        members["TagCount"] = len(meta.tags)
    if meta.replication:
        members["ReplicationStatus"] = replication.status(meta)
    return members


def version_member(bucket: Record, version: Version) -> Document:
    """The version id, which buckets tell once versioning was turned on."""
    return {"VersionId": version.version_id} if versioning_of(bucket) else {}


_NOT_MODIFIED = ("ETag", "LastModified", "CacheControl", "Expires", "VersionId")
