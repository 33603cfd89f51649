"""What a client says about an object beside its bytes, as requests bring it and responses tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from clary.errors import NotSupported
from clary.services.s3 import encryption, grants
from clary.services.s3.access import refuse_public_acl
from clary.services.s3.bucket import acls_are_off, ownership_of
from clary.services.s3.errors import (
    InvalidArgument,
    InvalidTag,
    KeyTooLongError,
    MetadataTooLarge,
)
from clary.services.s3.lock import lock_of
from clary.store.objects import Meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record

HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
    "StorageClass",
)
"""Members that are kept with an object and come back with it."""

DEFAULT_CONTENT_TYPE = "binary/octet-stream"

UNSUPPORTED = {
    "ObjectLockEventHold": "x-amz-object-lock-event-hold",
    "WriteOffsetBytes": "x-amz-write-offset-bytes",
}
"""Members that Clary refuses rather than ignores, and their headers."""

MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 2048
MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256


def meta_of(ctx: Context, request: Members, bucket: Record) -> Meta:
    """What a write says about its object.

    Raises:
        ServiceError: it breaks a rule, or asks for what Clary does not support.
    """
    refuse_unsupported(request)
    refuse_long_key(request["Key"])
    headers = {name: request[name] for name in HEADERS if request.get(name) is not None}
    _drop_transfer_encoding(headers)
    encrypted, customer_key = encryption.asked(ctx, request, bucket)
    metadata = request.get("Metadata") or {}
    _refuse_large(metadata)
    tagging = request.get("Tagging")
    acl = grants.asked(request, bucket)
    if acl:
        refuse_public_acl(ctx, bucket, acl, "s3:PutObject", f"{bucket.arn}/{request['Key']}")
    tags = tags_of_query(tagging) if tagging else {}
    owner = _owner_of(ctx, bucket, acl)
    lock = lock_of(ctx, request, bucket)
    return Meta({**headers, **encrypted}, metadata, tags, acl, owner, lock, customer_key=customer_key)


def refuse_unsupported(request: Members) -> None:
    """Accepts a request without features that Clary lacks.

    Raises:
        NotSupported: it has one; the message names it.
    """
    for member, header in UNSUPPORTED.items():
        if request.get(member) is not None:
            raise NotSupported(f"Clary does not support the header {header}.")


def refuse_long_key(key: str) -> None:
    """Accepts a key of at most 1,024 bytes.

    Raises:
        KeyTooLongError: it has more.
    """
    # Four bytes are the most that a character takes.
    if len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES:
        raise KeyTooLongError(len(key.encode()))


def _owner_of(ctx: Context, bucket: Record, acl: grants.Acl) -> str:
    """The account that owns what is written, where it is not the bucket's.

    Source: "Controlling ownership of objects and disabling ACLs", Amazon S3 user guide. What the public writes is left
    to the owner of the bucket.
    """
    writer = ctx.principal.account
    if writer == bucket.account or acls_are_off(bucket):
        return ""
    given = ownership_of(bucket) == "BucketOwnerPreferred" and acl == grants.BUCKET_OWNER_FULL_CONTROL
    return "" if given else writer


def tags_of_query(text: str) -> dict[str, str]:
    """The tags of an `x-amz-tagging` header.

    Raises:
        InvalidArgument: it is no query string.
        InvalidTag: a tag breaks the rules.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
        raise InvalidArgument(f"{message} without tag name duplicates.", "x-amz-tagging", text) from None
    return checked_tags(pairs, MAX_OBJECT_TAGS)


def tags_of_set(tag_set: Iterable[Members], limit: int) -> dict[str, str]:
    """The tags of a `TagSet`.

    Raises:
        InvalidTag: a tag breaks the rules.
    """
    return checked_tags(((tag["Key"], tag["Value"]) for tag in tag_set), limit)


def checked_tags(pairs: Iterable[tuple[str, str]], limit: int) -> dict[str, str]:
    """Tags that keep to the rules ("Categorizing your objects using tags", Amazon S3 user guide).

    Raises:
        InvalidTag: one does not, there are two of one name, or too many.
    """
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not key or len(key) > MAX_TAG_KEY:
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > MAX_TAG_VALUE:
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key in tags:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        if key.lower().startswith("aws:"):
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
        tags[key] = value
    if len(tags) > limit:
        raise InvalidTag(f"Object tags cannot be greater than {limit}")
    return tags


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as responses list them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _drop_transfer_encoding(headers: Document) -> None:
    """The chunks in which a body travelled are no property of the object."""
    encoding = headers.get("ContentEncoding")
    if encoding is None or "aws-chunked" not in encoding:
        return
    kept = ",".join(each.strip() for each in encoding.split(",") if each.strip() != "aws-chunked")
    if kept:
        headers["ContentEncoding"] = kept
    else:
        del headers["ContentEncoding"]


def _refuse_large(metadata: Mapping[str, str]) -> None:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise MetadataTooLarge(size)
