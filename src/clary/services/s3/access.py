"""Which permissions each operation of S3 needs.

Source: "Actions, resources, and condition keys for Amazon S3", service authorization reference, and "Required
permissions for Amazon S3 API operations", Amazon S3 user guide.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from clary.context import PrincipalKind
from clary.errors import AccessDenied
from clary.services.s3 import grants
from clary.services.s3.bucket import acls_are_off, find
from clary.services.s3.condition_keys import Keys, Late, LateOfObject, request_keys
from clary.services.s3.copy_source import CopySource
from clary.services.s3.public import denials, is_public
from clary.services.service import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

OBJECT_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "AbortMultipartUpload": ("AbortMultipartUpload",),
    "CompleteMultipartUpload": ("PutObject",),
    "CreateMultipartUpload": ("PutObject",),
    "DeleteObject": ("DeleteObject",),
    "DeleteObjectTagging": ("DeleteObjectTagging",),
    "GetObject": ("GetObject",),
    "GetObjectAcl": ("GetObjectAcl",),
    "GetObjectAttributes": ("GetObject", "GetObjectAttributes"),
    "GetObjectLegalHold": ("GetObjectLegalHold",),
    "GetObjectRetention": ("GetObjectRetention",),
    "GetObjectTagging": ("GetObjectTagging",),
    "HeadObject": ("GetObject",),
    "ListParts": ("ListMultipartUploadParts",),
    "PutObject": ("PutObject",),
    "PutObjectAcl": ("PutObjectAcl",),
    "PutObjectLegalHold": ("PutObjectLegalHold",),
    "PutObjectRetention": ("PutObjectRetention",),
    "PutObjectTagging": ("PutObjectTagging",),
    "RestoreObject": ("RestoreObject",),
    "SelectObjectContent": ("GetObject",),
    "UpdateObjectEncryption": ("UpdateObjectEncryption",),
    "UploadPart": ("PutObject",),
}
"""Operations on one object, and their actions without the prefix."""

_OF_VERSIONS: Mapping[str, str] = {
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectAttributes": "GetObjectVersionAttributes",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
"""The actions for a version that is named by its id."""

_OF_EXISTING = frozenset(
    f"s3:{action}" for action in ("GetObject", "GetObjectVersion", "GetObjectAcl", "GetObjectVersionAcl")
) | {"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}
"""The actions that the access control list of the object itself may allow."""

BUCKET_ACTIONS: Mapping[str, str] = {
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
"""Operations on a bucket whose action is not named after them."""

_ALWAYS_ROOT = frozenset({"DeleteBucketPolicy", "GetBucketPolicy", "PutBucketPolicy"})
"""What root may do with its own buckets, whatever their policies say."""

_CONDITIONAL = frozenset({"DeleteObject", "PutObject"})
"""Whoever lets these depend on the bytes that are there must be allowed to read them."""

_BESIDE: Mapping[str, tuple[str, ...]] = {
    "s3:PutObjectTagging": ("Tagging",),
    "s3:PutObjectAcl": ("ACL", *grants.HEADERS),
    "s3:PutObjectRetention": ("ObjectLockMode", "ObjectLockRetainUntilDate"),
    "s3:PutObjectLegalHold": ("ObjectLockLegalHoldStatus",),
}
"""What a write of an object needs besides, and the members that make it need so."""

_MEMBERS_BESIDE = frozenset(member for members in _BESIDE.values() for member in members)

_OF_NEW_BUCKETS: Mapping[str, tuple[str, ...]] = {
    "s3:PutBucketAcl": ("ACL", *grants.HEADERS),
    "s3:PutBucketOwnershipControls": ("ObjectOwnership",),
    "s3:PutBucketObjectLockConfiguration": ("ObjectLockEnabledForBucket",),
    "s3:PutBucketVersioning": ("ObjectLockEnabledForBucket",),
}
"""What CreateBucket needs besides, and the members that make it need so."""


class Target(NamedTuple):
    """An object, or one version of it, as a request names it."""

    bucket: Record
    key: str
    version_id: str | None = None

    @property
    def arn(self) -> str:
        """The ARN of the object."""
        return f"{self.bucket.arn}/{self.key}"


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    """The permissions that one call needs."""
    special = _SPECIAL.get(ctx.operation)
    if special is not None:
        return special(platform, ctx, request)
    bucket = find(platform, request.get("Bucket", ""))
    if bucket is None:
        # Nothing can be allowed or denied; the handler tells that there is no such bucket.
        return ()
    actions = OBJECT_ACTIONS.get(ctx.operation)
    if actions is None:
        action = BUCKET_ACTIONS.get(ctx.operation, ctx.operation)
        check = bucket_check(f"s3:{action}", bucket, ctx, request_keys(request, ctx))
        own = ctx.principal.kind is PrincipalKind.ROOT and ctx.principal.account == bucket.account
        # Whoever locks everybody out by a policy needs a way back ("PutBucketPolicy", Amazon S3 API reference).
        return [check._replace(resource_policies=())] if own and ctx.operation in _ALWAYS_ROOT else [check]
    target = Target(bucket, request["Key"], request.get("VersionId"))
    return object_checks(platform, ctx, target, actions, request)


def object_checks(
    platform: Platform, ctx: Context, target: Target, actions: Sequence[str], request: Members
) -> list[Check]:
    """The permissions for an object, and those for what a write says beside its bytes."""
    needed = [f"s3:{_OF_VERSIONS.get(each, each) if target.version_id else each}" for each in actions]
    if "PutObject" in actions and not _MEMBERS_BESIDE.isdisjoint(request):
        needed += [action for action, members in _BESIDE.items() if any(map(request.get, members))]
    if (request.get("IfMatch") or request.get("ETag") or "*") != "*" and _CONDITIONAL.intersection(actions):
        needed.append("s3:GetObject")
    keys = request_keys(request, ctx)
    return [object_check(platform, ctx, target, action, keys) for action in needed]


def list_check(bucket: Record, ctx: Context) -> Check:
    """The permission to know which keys exist."""
    return bucket_check("s3:ListBucket", bucket, ctx, {})


def bucket_check(action: str, bucket: Record, ctx: Context, keys: Keys) -> Check:
    """A permission on a bucket."""
    late = Late(bucket, ctx.secure)
    return Check(action, bucket.arn, keys, policies_of(bucket), bucket.account, late=late)


def object_check(platform: Platform, ctx: Context, target: Target, action: str, keys: Keys | None = None) -> Check:
    """A permission on an object."""
    bucket = target.bucket
    late = LateOfObject(platform, target, ctx.secure)
    owner, documents = bucket.account, policies_of(bucket)
    if action in _OF_EXISTING and not acls_are_off(bucket) and (version := late.version()) is not None:
        meta = version.meta
        owner = meta.owner or owner
        # The bucket's policy can allow nothing about objects that are not the bucket owner's.
        documents = documents if owner == bucket.account else tuple(map(denials, documents))
        documents = (*documents, grants.as_policy(meta.acl, owner, bucket))
    return Check(action, target.arn, keys or {}, documents, owner, late=late)


def policies_of(bucket: Record) -> tuple[str, ...]:
    """What hangs on the bucket itself: its policy, the limit on public ones, and its access control list."""
    documents: tuple[str, ...] = ()
    if policy := bucket.spec.get("Policy"):
        documents = (policy,)
        if grants.blocks(bucket, "RestrictPublicBuckets") and is_public(policy):
            documents = (policy, _restriction(bucket.account))
    if not acls_are_off(bucket) and (acl := grants.as_policy(bucket.spec.get("ACL", ""), bucket.account, bucket)):
        documents = (*documents, acl)
    return documents


def refuse_public_acl(ctx: Context, bucket: Record, acl: grants.Acl, action: str, resource: str) -> None:
    """Accepts a list unless it is public and the bucket takes no public ones.

    Raises:
        AccessDenied: so it is.
    """
    if grants.blocks(bucket, "BlockPublicAcls") and grants.is_public(acl):
        raise AccessDenied(
            f'User: {ctx.principal.arn} is not authorized to perform: {action} on resource: "{resource}" because '
            "public access control lists (ACLs) are prevented by the BlockPublicAcls setting in S3 Block Public Access."
        )


def _restriction(account: str) -> str:
    """What RestrictPublicBuckets says of a bucket with a public policy: AWS services and the own account only."""
    condition = {"StringNotEquals": {"aws:PrincipalAccount": account}, "Bool": {"aws:PrincipalIsAWSService": "false"}}
    statement = {"Sid": "RestrictPublicBuckets", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": {**statement, "Condition": condition}})


def _list_buckets(_: Platform, __: Context, ___: Document) -> Sequence[Check]:
    return [Check("s3:ListAllMyBuckets")]


def _create_bucket(_: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    arn = f"arn:aws:s3:::{request['Bucket']}"
    needed = [
        "s3:CreateBucket",
        *(action for action, members in _OF_NEW_BUCKETS.items() if any(map(request.get, members))),
    ]
    keys = request_keys(request, ctx)
    return [Check(action, arn, keys) for action in needed]


def _copy(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    checks = []
    source = CopySource.parse(request["CopySource"])
    bucket = find(platform, source.bucket)
    tagged = False
    if bucket is not None:
        origin = Target(bucket, source.key, source.version_id)
        tagged = _takes_tags(platform, ctx, origin, request)
        actions = ("GetObject", "GetObjectTagging") if tagged else ("GetObject",)
        checks += object_checks(platform, ctx, origin, actions, {})
    target = find(platform, request["Bucket"])
    if target is not None:
        actions = ("PutObject", "PutObjectTagging") if tagged else ("PutObject",)
        checks += object_checks(platform, ctx, Target(target, request["Key"]), actions, request)
    return checks


def _takes_tags(platform: Platform, ctx: Context, origin: Target, request: Document) -> bool:
    """Whether a copy brings the tags of its source along."""
    if ctx.operation != "CopyObject" or request.get("TaggingDirective") == "REPLACE":
        return False
    version = LateOfObject(platform, origin, ctx.secure).version()
    return version is not None and bool(version.meta.tags)


def _put_replication(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    """The permission for the bucket, and to hand the role over that replicates."""
    bucket = find(platform, request.get("Bucket", ""))
    if bucket is None:
        return ()
    role = (request.get("ReplicationConfiguration") or {}).get("Role") or "*"
    return [
        bucket_check("s3:PutReplicationConfiguration", bucket, ctx, request_keys(request, ctx)),
        Check("iam:PassRole", role, {"iam:PassedToService": "s3.amazonaws.com"}),
    ]


def _none(_: Platform, __: Context, ___: Document) -> Sequence[Check]:
    return ()


_SPECIAL: Mapping[str, Callable[[Platform, Context, Document], Sequence[Check]]] = {
    "CopyObject": _copy,
    "CreateBucket": _create_bucket,
    # Each key is decided for itself, by the handler, and told in the answer.
    "DeleteObjects": _none,
    "ListBuckets": _list_buckets,
    # The form is signed, not the request: the handler reads it and decides.
    "PostObject": _none,
    "OptionsObject": _none,
    "PutBucketReplication": _put_replication,
    "UploadPartCopy": _copy,
}
