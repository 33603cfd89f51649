"""The access control lists of buckets and objects.

New buckets have them turned off ("Controlling ownership of objects and disabling ACLs", Amazon S3 user guide).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.s3 import events, grants
from clary.services.s3.access import refuse_public_acl
from clary.services.s3.bucket import acls_are_off, bucket_of, canonical_id, edit
from clary.services.s3.errors import AccessControlListNotSupported, MissingSecurityHeader, UnexpectedContent
from clary.services.s3.objects import version_member
from clary.services.s3.reading import readable

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Meta
    from clary.store.records import Record


class AccessControlLists:
    """The lists of buckets and objects."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def get_bucket_acl(self, _: Context, request: api.GetBucketAclRequest) -> Document:
        """The list of a bucket."""
        bucket = bucket_of(self._platform, request)
        return _told(bucket, bucket.spec.get("ACL", ""), bucket.account)

    def put_bucket_acl(self, ctx: Context, request: api.PutBucketAclRequest) -> None:
        """Replaces the list of a bucket."""
        bucket = bucket_of(self._platform, request)
        acl = _asked(request, bucket, bucket.account)
        refuse_public_acl(ctx, bucket, acl, "s3:PutBucketAcl", bucket.arn)
        edit(self._platform, bucket, ctx, lambda spec: spec.update(ACL=acl))

    def get_object_acl(self, ctx: Context, request: api.GetObjectAclRequest) -> Document:
        """The list of an object."""
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
        return _told(bucket, version.meta.acl, version.meta.owner or bucket.account)

    def put_object_acl(self, ctx: Context, request: api.PutObjectAclRequest) -> Document:
        """Replaces the list of an object."""
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
        acl = _asked(request, bucket, version.meta.owner or bucket.account)
        refuse_public_acl(ctx, bucket, acl, "s3:PutObjectAcl", f"{bucket.arn}/{version.key}")

        def change(meta: Meta) -> None:
            meta.acl = acl

        with self._platform.objects.index.transaction():
            self._platform.objects.index.edit(version, change)
            events.changed(self._platform, ctx, bucket, version)
        return version_member(bucket, version)


def _asked(request: Members, bucket: Record, owner: str) -> grants.Acl:
    """The list that a request puts, from its headers or its body."""
    if acls_are_off(bucket):
        raise AccessControlListNotSupported
    acl, body = grants.asked(request, bucket), request.get("AccessControlPolicy")
    if body and acl:
        raise UnexpectedContent
    if acl:
        return acl
    if not body:
        raise MissingSecurityHeader
    return grants.of_body(body, owner)


def _told(bucket: Record, acl: grants.Acl, owner: str) -> Document:
    kept = grants.PRIVATE if acls_are_off(bucket) else acl
    return {"Owner": {"ID": canonical_id(owner)}, "Grants": grants.grants_of(kept, owner, bucket.account)}
