"""Access control lists: canned ones are kept and told; what they grant to the public is not given.

Buckets have them turned off by default ("Controlling ownership of objects and disabling ACLs", Amazon S3 user guide).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.errors import NotSupported
from clary.services.s3.bucket import bucket_of, canonical_id, edit
from clary.services.s3.errors import InvalidRequest
from clary.services.s3.meta import acl_of
from clary.services.s3.reading import readable
from clary.services.service import recorded

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
_AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"

_GROUP_GRANTS: dict[str, tuple[tuple[str, str], ...]] = {
    "public-read": ((_EVERYBODY, "READ"),),
    "public-read-write": ((_EVERYBODY, "READ"), (_EVERYBODY, "WRITE")),
    "authenticated-read": ((_AUTHENTICATED, "READ"),),
}
"""What canned lists grant beside the owner's full control ("Canned ACL", Amazon S3 user guide)."""


class AccessControlLists:
    """The lists of buckets and objects."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @recorded
    def get_bucket_acl(self, _: Context, request: api.GetBucketAclRequest) -> Document:
        """The list of a bucket."""
        bucket = bucket_of(self._platform, request)
        return _told(bucket, bucket.spec.get("ACL", ""))

    @recorded
    def put_bucket_acl(self, ctx: Context, request: api.PutBucketAclRequest) -> None:
        """Replaces the list of a bucket by a canned one."""
        bucket = bucket_of(self._platform, request)
        acl = _canned(request, bucket)
        edit(self._platform, bucket, ctx, lambda spec: spec.update(ACL=acl))

    @recorded
    def get_object_acl(self, ctx: Context, request: api.GetObjectAclRequest) -> Document:
        """The list of an object."""
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
        return _told(bucket, version.meta.acl)

    @recorded
    def put_object_acl(self, ctx: Context, request: api.PutObjectAclRequest) -> None:
        """Replaces the list of an object by a canned one."""
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
        meta = version.meta
        meta.acl = _canned(request, bucket)
        self._platform.objects.index.describe(version, meta)


def _canned(request: Members, bucket: Record) -> str:
    acl = acl_of(request, bucket)
    if acl:
        return acl
    if request.get("AccessControlPolicy"):
        raise NotSupported("Clary supports canned ACLs only, no AccessControlPolicy.")
    raise InvalidRequest("Your request was missing a required header")


def _told(bucket: Record, acl: str) -> Document:
    owner = {"ID": canonical_id(bucket.account)}
    grants: list[Document] = [{"Grantee": {"Type": "CanonicalUser", **owner}, "Permission": "FULL_CONTROL"}]
    for group, permission in _GROUP_GRANTS.get(acl, ()):
        grants.append({"Grantee": {"Type": "Group", "URI": group}, "Permission": permission})
    return {"Owner": owner, "Grants": grants}
