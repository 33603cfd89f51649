"""The settings of a bucket, most of them kept as they were put and told again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from clary.services.s3 import mfa_delete
from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import (
    IllegalVersioningConfigurationException,
    InvalidBucketState,
    MalformedXML,
    NoSuchTagSet,
)
from clary.services.s3.lock import CONFIGURATION
from clary.services.s3.meta import MAX_BUCKET_TAGS, tag_set, tags_of_set
from clary.services.service import recorded

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.errors import ServiceError
    from clary.platform import Platform
    from clary.services.service import Document, Members


class _Family(Protocol):
    _platform: Platform


Operation = Callable[[_Family, "Context", "Document"], "Document | None"]


def stored(member: str) -> Operation:
    """An operation that keeps one member of its request as a setting of the bucket."""

    def put(self: _Family, ctx: Context, request: Members) -> None:
        value = request.get(member)
        if value is None:
            raise MalformedXML
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.update({member: value}))

    put.__doc__ = f"Replaces the {member} of a bucket."
    return put


def told(member: str, absent: Callable[[], ServiceError] | Document, *, wrapped: bool = False) -> Operation:
    """An operation that answers a setting, or its members; `absent` is the error or answer when there is none."""

    def get(self: _Family, _: Context, request: Members) -> Document:
        value = bucket_of(self._platform, request).spec.get(member)
        if value is None:
            if callable(absent):
                raise absent()
            value = absent
        return {member: value} if wrapped else dict(value)

    get.__doc__ = f"The {member} of a bucket."
    return get


def forgotten(member: str) -> Operation:
    """An operation that removes a setting."""

    def delete(self: _Family, ctx: Context, request: Members) -> None:
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop(member, None))

    delete.__doc__ = f"Removes the {member} of a bucket."
    return delete


class BucketSettings:
    """What can be put on a bucket, got from it and taken off it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    put_bucket_accelerate_configuration = recorded(stored("AccelerateConfiguration"))
    get_bucket_accelerate_configuration = recorded(told("AccelerateConfiguration", {}))

    put_bucket_request_payment = recorded(stored("RequestPaymentConfiguration"))
    get_bucket_request_payment = recorded(told("RequestPaymentConfiguration", {"Payer": "BucketOwner"}))

    def put_bucket_versioning(self, ctx: Context, request: api.PutBucketVersioningRequest) -> None:
        """Turns versioning on, or suspends it; it can never be as if it had not been on."""
        configuration = request["VersioningConfiguration"]
        status = configuration.get("Status")
        if status not in ("Enabled", "Suspended"):
            raise IllegalVersioningConfigurationException(
                "The Versioning element must be specified" if status is None else "Unknown versioning status"
            )
        bucket = bucket_of(self._platform, request)
        if "MFADelete" in configuration or mfa_delete.is_on(bucket):
            mfa_delete.refuse_without_code(self._platform, ctx, request)

        def change(spec: Document) -> None:
            if status == "Suspended" and CONFIGURATION in spec:
                raise InvalidBucketState(
                    "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
                )
            if status == "Suspended" and "ReplicationConfiguration" in spec:
                raise InvalidBucketState(
                    "A replication configuration is present on this bucket, so the versioning state cannot be changed."
                )
            spec["Versioning"] = {**spec.get("Versioning", {}), **configuration}

        edit(self._platform, bucket, ctx, change)

    def get_bucket_versioning(
        self, _: Context, request: api.GetBucketVersioningRequest
    ) -> api.GetBucketVersioningOutput:
        """Whether versioning is on or suspended; nothing when it never was on."""
        configuration: api.GetBucketVersioningOutput = bucket_of(self._platform, request).spec.get("Versioning", {})
        return configuration

    def put_bucket_tagging(self, ctx: Context, request: api.PutBucketTaggingRequest) -> None:
        """Replaces the tags of a bucket."""
        self._tag(ctx, request, tags_of_set(request["Tagging"].get("TagSet") or (), MAX_BUCKET_TAGS))

    def get_bucket_tagging(self, _: Context, request: api.GetBucketTaggingRequest) -> Document:
        """The tags of a bucket."""
        tags = bucket_of(self._platform, request).tags
        if not tags:
            raise NoSuchTagSet("The TagSet does not exist", BucketName=request["Bucket"])
        return {"TagSet": tag_set(tags)}

    def delete_bucket_tagging(self, ctx: Context, request: api.DeleteBucketTaggingRequest) -> None:
        """Removes the tags of a bucket."""
        self._tag(ctx, request, {})

    def _tag(self, ctx: Context, request: Members, tags: dict[str, str]) -> None:
        bucket = bucket_of(self._platform, request)
        self._platform.records.edit(bucket, lambda record: replace(record, tags=tags, modified=ctx.now))
