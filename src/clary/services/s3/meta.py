"""What a client says about an object beside its bytes, as requests bring it and responses tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from clary.errors import NotSupported
from clary.services.s3.errors import (
    AccessControlListNotSupported,
    InvalidArgument,
    InvalidTag,
    KeyTooLongError,
    MetadataTooLarge,
)
from clary.store.objects import Meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
)
"""Members that are kept with an object and come back with it."""

DEFAULT_CONTENT_TYPE = "binary/octet-stream"

UNSUPPORTED = {
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "CopySourceSSECustomerAlgorithm": "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
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

BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
CANNED_ACLS = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        BUCKET_OWNER_FULL_CONTROL,
    }
)
GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")


def meta_of(request: Members, bucket: Record) -> Meta:
    """What a write says about its object.

    Raises:
        ServiceError: it breaks a rule, or asks for what Clary does not support.
    """
    refuse_unsupported(request)
    refuse_long_key(request["Key"])
    headers = {name: request[name] for name in HEADERS if request.get(name) is not None}
    _drop_transfer_encoding(headers)
    _encrypt_by_default(headers, bucket)
    metadata = request.get("Metadata") or {}
    _refuse_large(metadata)
    tagging = request.get("Tagging")
    return Meta(headers, metadata, tags_of_query(tagging) if tagging else {}, acl_of(request, bucket))


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


def acls_are_off(bucket: Record) -> bool:
    """Whether the bucket's ownership setting turns access control lists off, as it does by default."""
    rules = bucket.spec.get("OwnershipControls", {}).get("Rules", [])
    return bool(rules) and rules[0].get("ObjectOwnership") == "BucketOwnerEnforced"


def acl_of(request: Members, bucket: Record) -> str:
    """The canned access control list that a write names; empty when it names none.

    Raises:
        AccessControlListNotSupported: the bucket takes none.
        InvalidArgument: there is no such list.
        NotSupported: it grants to single accounts.
    """
    acl = str(request.get("ACL") or "")
    grants = [name for name in GRANTS if request.get(name)]
    if acls_are_off(bucket) and (grants or acl not in ("", BUCKET_OWNER_FULL_CONTROL)):
        raise AccessControlListNotSupported
    if acl and acl not in CANNED_ACLS:
        raise InvalidArgument("", "x-amz-acl", acl)
    if grants:
        raise NotSupported("Clary supports canned ACLs only, no x-amz-grant headers.")
    return acl


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


def _encrypt_by_default(headers: Document, bucket: Record) -> None:
    """Takes over the bucket's encryption where the request names none; nothing needs to be said of S3's own keys."""
    rules = bucket.spec.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    default = rules[0].get("ApplyServerSideEncryptionByDefault", {}) if rules else {}
    if "ServerSideEncryption" in headers or default.get("SSEAlgorithm", "AES256") == "AES256":
        return
    headers["ServerSideEncryption"] = default["SSEAlgorithm"]
    if "KMSMasterKeyID" in default:
        headers["SSEKMSKeyId"] = default["KMSMasterKeyID"]


def _refuse_large(metadata: Mapping[str, str]) -> None:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise MetadataTooLarge(size)
