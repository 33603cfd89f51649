"""Which permissions each operation of S3 needs.

Source: "Actions, resources, and condition keys for Amazon S3", service authorization reference, and "Required
permissions for Amazon S3 API operations", Amazon S3 user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.context import PrincipalKind
from clary.services.s3.bucket import find
from clary.services.s3.copy_source import CopySource
from clary.services.service import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.records import Record

OBJECT_ACTIONS: Mapping[str, str] = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObject": "DeleteObject",
    "DeleteObjectTagging": "DeleteObjectTagging",
    "GetObject": "GetObject",
    "GetObjectAcl": "GetObjectAcl",
    "GetObjectAttributes": "GetObjectAttributes",
    "GetObjectTagging": "GetObjectTagging",
    "HeadObject": "GetObject",
    "ListParts": "ListMultipartUploadParts",
    "PostObject": "PutObject",
    "PutObject": "PutObject",
    "PutObjectAcl": "PutObjectAcl",
    "PutObjectTagging": "PutObjectTagging",
    "UploadPart": "PutObject",
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

BUCKET_ACTIONS: Mapping[str, str] = {
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
"""Operations on a bucket whose action is not named after them."""

_BESIDE: Mapping[str, str] = {"Tagging": "s3:PutObjectTagging", "ACL": "s3:PutObjectAcl"}
"""What a write needs besides when it brings tags or an access control list."""

_LISTED: Mapping[str, str] = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
_PUT_KEYS: Mapping[str, str] = {
    "ACL": "s3:x-amz-acl",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "StorageClass": "s3:x-amz-storage-class",
    "MetadataDirective": "s3:x-amz-metadata-directive",
    "CopySource": "s3:x-amz-copy-source",
}


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    """The permissions that one call needs."""
    special = _SPECIAL.get(ctx.operation)
    if special is not None:
        return special(platform, ctx, request)
    name = request.get("Bucket", "")
    bucket = find(platform, name)
    if bucket is None:
        # Nothing can be allowed or denied; the handler tells that there is no such bucket.
        return ()
    action = OBJECT_ACTIONS.get(ctx.operation)
    if action is None:
        action = BUCKET_ACTIONS.get(ctx.operation, ctx.operation)
        return [bucket_check(f"s3:{action}", bucket, ctx, _keys(_LISTED, request))]
    version_id = request.get("VersionId")
    if version_id:
        action = _OF_VERSIONS.get(ctx.operation, action)
    return _written(bucket, ctx, request, f"s3:{action}")


def list_check(bucket: Record, ctx: Context) -> Check:
    """The permission to know which keys exist."""
    return bucket_check("s3:ListBucket", bucket, ctx, {})


def bucket_check(action: str, bucket: Record, ctx: Context, keys: Mapping[str, str]) -> Check:
    """A permission on a bucket."""
    return Check(action, bucket.arn, keys, policies_of(bucket, ctx), bucket.account)


def object_check(
    action: str, bucket: Record, key: str, ctx: Context, keys: Mapping[str, str | Sequence[str]] | None = None
) -> Check:
    """A permission on an object."""
    return Check(action, f"{bucket.arn}/{key}", keys or {}, policies_of(bucket, ctx), bucket.account)


def policies_of(bucket: Record, ctx: Context) -> tuple[str, ...]:
    """The bucket policy, where it counts.

    RestrictPublicBuckets leaves the account's own principals and services only; here it is read so that callers
    without an account, whom only a public policy could allow, are not helped by it.
    """
    policy = bucket.spec.get("Policy")
    if not policy:
        return ()
    block = bucket.spec.get("PublicAccessBlockConfiguration", {})
    if ctx.principal.kind is PrincipalKind.ANONYMOUS and block.get("RestrictPublicBuckets"):
        return ()
    return (policy,)


def _list_buckets(_: Platform, __: Context, ___: Document) -> Sequence[Check]:
    return [Check("s3:ListAllMyBuckets")]


def _create_bucket(_: Platform, __: Context, request: Document) -> Sequence[Check]:
    location = (request.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    keys = {"s3:LocationConstraint": location} if location else {}
    return [Check("s3:CreateBucket", f"arn:aws:s3:::{request['Bucket']}", keys)]


def _copy(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    checks = []
    source = CopySource.parse(request["CopySource"])
    bucket = find(platform, source.bucket)
    if bucket is not None:
        action = "s3:GetObjectVersion" if source.version_id else "s3:GetObject"
        checks.append(object_check(action, bucket, source.key, ctx))
    target = find(platform, request["Bucket"])
    if target is not None:
        checks.extend(_written(target, ctx, request, "s3:PutObject"))
    return checks


def _written(bucket: Record, ctx: Context, request: Document, action: str) -> list[Check]:
    """The permission for an object, and those for what a write says beside its bytes."""
    keys = _object_keys(request)
    actions = [action]
    if action == "s3:PutObject":
        actions += [needed for member, needed in _BESIDE.items() if request.get(member)]
    return [object_check(each, bucket, request["Key"], ctx, keys) for each in actions]


def _none(_: Platform, __: Context, ___: Document) -> Sequence[Check]:
    return ()


def _keys(names: Mapping[str, str], request: Document) -> dict[str, str]:
    return {key: str(request[name]) for name, key in names.items() if request.get(name) is not None}


def _object_keys(request: Document) -> dict[str, str | Sequence[str]]:
    keys: dict[str, str | Sequence[str]] = {**_keys(_PUT_KEYS, request)}
    if request.get("VersionId"):
        keys["s3:VersionId"] = str(request["VersionId"])
    return keys


_SPECIAL: Mapping[str, Callable[[Platform, Context, Document], Sequence[Check]]] = {
    "CopyObject": _copy,
    "CreateBucket": _create_bucket,
    # Each key is decided for itself, by the handler, and told in the answer.
    "DeleteObjects": _none,
    "ListBuckets": _list_buckets,
    # The form is signed, not the request: the handler reads it and decides.
    "PostObject": _none,
    "OptionsObject": _none,
    "UploadPartCopy": _copy,
}
