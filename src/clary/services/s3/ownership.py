"""Who owns what is written into a bucket, and how far it may be opened to the public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.s3.bucket import bucket_of, canonical_id, edit
from clary.services.s3.errors import (
    InvalidBucketAclWithObjectOwnership,
    MalformedXML,
    NoSuchPublicAccessBlockConfiguration,
    OwnershipControlsNotFoundError,
)
from clary.services.s3.grants import SWITCHES, grants_of

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_CONTROLS = "OwnershipControls"
_BLOCK = "PublicAccessBlockConfiguration"


class Ownership:
    """Ownership controls and Block Public Access."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_ownership_controls(self, ctx: Context, request: api.PutBucketOwnershipControlsRequest) -> None:
        """Says who owns new objects; access control lists are off where the bucket's owner always does."""
        bucket = bucket_of(self._platform, request)
        rules = request["OwnershipControls"].get("Rules") or []
        if len(rules) != 1:
            raise MalformedXML
        owner = canonical_id(bucket.account)
        granted = grants_of(bucket.spec.get("ACL", ""), bucket.account, bucket.account)
        shared = any(grant["Grantee"].get("ID") != owner for grant in granted)
        if rules[0]["ObjectOwnership"] == "BucketOwnerEnforced" and shared:
            raise InvalidBucketAclWithObjectOwnership
        edit(self._platform, bucket, ctx, lambda spec: spec.update({_CONTROLS: {"Rules": rules}}))

    def get_bucket_ownership_controls(self, _: Context, request: api.GetBucketOwnershipControlsRequest) -> Document:
        """Who owns new objects."""
        controls = bucket_of(self._platform, request).spec.get(_CONTROLS)
        if controls is None:
            raise OwnershipControlsNotFoundError(
                "The bucket ownership controls were not found", BucketName=request["Bucket"]
            )
        return {_CONTROLS: controls}

    def delete_bucket_ownership_controls(self, ctx: Context, request: api.DeleteBucketOwnershipControlsRequest) -> None:
        """Leaves objects to those who write them, as it once was everywhere."""
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop(_CONTROLS, None))

    def put_public_access_block(self, ctx: Context, request: api.PutPublicAccessBlockRequest) -> None:
        """Turns the four switches on or off; those that are not named are off."""
        asked = request["PublicAccessBlockConfiguration"]
        switches = {name: bool(asked.get(name)) for name in SWITCHES}
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.update({_BLOCK: switches}))

    def get_public_access_block(self, _: Context, request: api.GetPublicAccessBlockRequest) -> Document:
        """The four switches."""
        switches = bucket_of(self._platform, request).spec.get(_BLOCK)
        if switches is None:
            raise NoSuchPublicAccessBlockConfiguration(
                "The public access block configuration was not found", BucketName=request["Bucket"]
            )
        return {_BLOCK: switches}

    def delete_public_access_block(self, ctx: Context, request: api.DeletePublicAccessBlockRequest) -> None:
        """Turns all switches off."""
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop(_BLOCK, None))
