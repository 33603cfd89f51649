"""The condition keys of S3: what a request says, and what is known of the object that it names.

Source: "Actions, resources, and condition keys for Amazon S3", service authorization reference.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.s3.access import Target
    from clary.services.service import Members
    from clary.store.objects import Version
    from clary.store.records import Record

Keys = dict[str, "str | Sequence[str]"]

_EXISTING_TAG = "s3:existingobjecttag/"

_MEMBERS: Mapping[str, str] = {
    "ACL": "s3:x-amz-acl",
    "CopySource": "s3:x-amz-copy-source",
    "Delimiter": "s3:delimiter",
    "GrantFullControl": "s3:x-amz-grant-full-control",
    "GrantRead": "s3:x-amz-grant-read",
    "GrantReadACP": "s3:x-amz-grant-read-acp",
    "GrantWrite": "s3:x-amz-grant-write",
    "GrantWriteACP": "s3:x-amz-grant-write-acp",
    "IfMatch": "s3:if-match",
    "IfNoneMatch": "s3:if-none-match",
    "MaxKeys": "s3:max-keys",
    "MetadataDirective": "s3:x-amz-metadata-directive",
    "ObjectLockLegalHoldStatus": "s3:object-lock-legal-hold",
    "ObjectLockMode": "s3:object-lock-mode",
    "ObjectOwnership": "s3:x-amz-object-ownership",
    "Prefix": "s3:prefix",
    "SSECustomerAlgorithm": "s3:x-amz-server-side-encryption-customer-algorithm",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "StorageClass": "s3:x-amz-storage-class",
    "VersionId": "s3:VersionId",
    "WebsiteRedirectLocation": "s3:x-amz-website-redirect-location",
}
"""The keys that are members of requests."""


def request_keys(request: Members, ctx: Context) -> Keys:
    """The keys that a request brings."""
    keys: Keys = {
        _MEMBERS[name]: str(request[name]) for name in request.keys() & _MEMBERS.keys() if request[name] is not None
    }
    if location := (request.get("CreateBucketConfiguration") or {}).get("LocationConstraint"):
        keys["s3:LocationConstraint"] = location
    if until := request.get("ObjectLockRetainUntilDate"):
        keys.update(_until(until, "", ctx))
    if retention := request.get("Retention"):
        keys.update(_until(retention.get("RetainUntilDate"), retention.get("Mode", ""), ctx))
    if hold := request.get("LegalHold"):
        keys["s3:object-lock-legal-hold"] = hold.get("Status", "")
    if request.get("Tagging"):
        tags = _tags(request["Tagging"])
        keys["s3:RequestObjectTagKeys"] = list(tags)
        keys.update({f"s3:RequestObjectTag/{name}": value for name, value in tags.items()})
    return keys


def _until(until: datetime | None, mode: str, ctx: Context) -> Keys:
    keys: Keys = {"s3:object-lock-mode": mode} if mode else {}
    if isinstance(until, datetime):
        keys["s3:object-lock-retain-until-date"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
        keys["s3:object-lock-remaining-retention-days"] = str((until - ctx.now).days)
    return keys


def _tags(tagging: str | Members) -> dict[str, str]:
    if isinstance(tagging, str):
        return dict(parse_qsl(tagging, keep_blank_values=True))
    return {str(tag.get("Key")): str(tag.get("Value")) for tag in tagging.get("TagSet") or ()}


class Late:
    """The keys that few policies ask for: they are made only when one does."""

    def __init__(self, bucket: Record, secure: bool) -> None:
        self._bucket = bucket
        self._secure = secure

    def __call__(self, key: str) -> tuple[str, ...] | None:
        """The values of `key`, in lower case; None when the request does not have it."""
        match key:
            case "s3:resourceaccount" | "aws:resourceaccount":
                return (self._bucket.account,)
            case "s3:tlsversion" if self._secure:
                return ("1.2",)  # the least that the tunnel takes; which one it was, it does not tell
        return None


class LateOfObject(Late):
    """The same, and the tags of the object as it is."""

    def __init__(self, platform: Platform, target: Target, secure: bool) -> None:
        super().__init__(target.bucket, secure)
        self._platform = platform
        self._target = target
        self._read: tuple[Version | None] | None = None

    def __call__(self, key: str) -> tuple[str, ...] | None:
        """The values of `key`, in lower case; None when the request does not have it."""
        if not key.startswith(_EXISTING_TAG):
            return super().__call__(key)
        version, name = self.version(), key.removeprefix(_EXISTING_TAG)
        tags = version.meta.tags if version is not None else {}
        return next(((value,) for tag, value in tags.items() if tag.lower() == name), None)

    def version(self) -> Version | None:
        """What the request names, if there is such an object."""
        if self._read is None:
            target = self._target
            version = self._platform.objects.index.get(target.bucket.name, target.key, target.version_id)
            self._read = (None if version is None or version.deleted else version,)
        return self._read[0]
