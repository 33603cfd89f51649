"""The default encryption of a bucket.

Source: "Setting default server-side encryption behavior for Amazon S3 buckets", Amazon S3 user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.encryption import KMS, S3_KEYS
from clary.services.s3.errors import InvalidArgument, MalformedXML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

_MEMBER = "ServerSideEncryptionConfiguration"
_DEFAULT = {"SSEAlgorithm": S3_KEYS}
_BLOCKABLE = ({"NONE"}, {"SSE-C"})


class BucketEncryption:
    """How objects are encrypted whose writers say nothing, and whether customers may bring keys."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_encryption(self, ctx: Context, request: api.PutBucketEncryptionRequest) -> None:
        """Replaces the default encryption."""
        bucket = bucket_of(self._platform, request)
        rule = _checked(request["ServerSideEncryptionConfiguration"].get("Rules") or [])
        edit(self._platform, bucket, ctx, lambda spec: spec.update({_MEMBER: {"Rules": [rule]}}))

    def get_bucket_encryption(self, _: Context, request: api.GetBucketEncryptionRequest) -> Document:
        """The default encryption, which every bucket has."""
        bucket = bucket_of(self._platform, request)
        standard = {"Rules": [{"ApplyServerSideEncryptionByDefault": _DEFAULT, "BucketKeyEnabled": False}]}
        return {_MEMBER: bucket.spec.get(_MEMBER, standard)}

    def delete_bucket_encryption(self, ctx: Context, request: api.DeleteBucketEncryptionRequest) -> None:
        """Goes back to the keys of S3."""
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop(_MEMBER, None))


def _checked(rules: Sequence[Members]) -> Document:
    """The rule as it is kept.

    Raises:
        MalformedXML: there is not exactly one, or it names something that does not exist.
        InvalidArgument: it names a key for an algorithm that takes none.
    """
    if len(rules) != 1:
        raise MalformedXML
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or _DEFAULT
    if default.get("SSEAlgorithm") not in (S3_KEYS, *KMS):
        raise MalformedXML
    if default.get("KMSMasterKeyID") and default["SSEAlgorithm"] not in KMS:
        message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"
        raise InvalidArgument(message, "ApplyServerSideEncryptionByDefault")
    blocked = rules[0].get("BlockedEncryptionTypes")
    if blocked is not None and set(blocked.get("EncryptionType") or ()) not in _BLOCKABLE:
        raise MalformedXML
    kept = {"BlockedEncryptionTypes": blocked} if blocked else {}
    return {
        "ApplyServerSideEncryptionByDefault": dict(default),
        "BucketKeyEnabled": bool(rules[0].get("BucketKeyEnabled")),
        **kept,
    }
