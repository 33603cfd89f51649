"""Uploads by web forms: what may be uploaded is said by a signed policy in the form."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from clary.auth.post_policy import refuse_violation
from clary.auth.sigv4 import Authenticator
from clary.errors import NotSupported
from clary.http import Reply
from clary.services.s3 import integrity
from clary.services.s3.access import Target, object_checks
from clary.services.s3.bucket import bucket_of
from clary.services.s3.errors import InvalidArgument, MalformedXML
from clary.services.s3.form import read_form
from clary.services.s3.objects import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.objects import Content, Version

_MEMBERS = {
    "acl": "ACL",
    "cache-control": "CacheControl",
    "content-type": "ContentType",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "expires": "Expires",
    "x-amz-storage-class": "StorageClass",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "x-amz-server-side-encryption-context": "SSEKMSEncryptionContext",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "x-amz-server-side-encryption-customer-key": "SSECustomerKey",
    "x-amz-server-side-encryption-customer-key-md5": "SSECustomerKeyMD5",
    "x-amz-checksum-algorithm": "ChecksumAlgorithm",
    "x-amz-object-lock-mode": "ObjectLockMode",
    "x-amz-object-lock-legal-hold": "ObjectLockLegalHoldStatus",
    "x-amz-object-lock-retain-until-date": "ObjectLockRetainUntilDate",
    **{f"x-amz-checksum-{name.lower()}": member for member, name in integrity.MEMBERS.items()},
}
_METADATA = "x-amz-meta-"
_SIGNING = frozenset(f"x-amz-{name}" for name in ("algorithm", "credential", "date", "security-token", "signature"))


class Post:
    """The form upload."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._authenticator = Authenticator(platform.credentials, platform.clock)

    async def post_object(self, ctx: Context, request: api.PostObjectRequest) -> Reply:
        """Stores the file of a form."""
        bucket = bucket_of(self._platform, request)
        form = await read_form(request["Body"], request.get("ContentType") or "")
        if not form.fields.get("key"):
            raise InvalidArgument("Bucket POST must contain a field named 'key'.", "key", "")
        _refuse_unsupported(form.fields)
        fields = {**form.fields, "key": form.fields["key"].replace("${filename}", form.file_name)}
        signature = self._authenticator.authenticate_form(fields)
        principal = signature.principal
        ctx.proved.append(principal)
        ctx = replace(ctx, principal=principal, account=principal.account or ctx.account, signed=signature.keys)
        if "policy" in fields:
            refuse_violation(fields, bucket.name, None, ctx.now)
        asked = {"Bucket": bucket.name, "Key": fields["key"], "Body": form.file, **_members(fields)}
        checks = object_checks(self._platform, ctx, Target(bucket, fields["key"]), ("PutObject",), asked)
        self._platform.authorizer.authorize(ctx, checks)

        def accept(content: Content) -> None:
            if "policy" in fields:
                refuse_violation(fields, bucket.name, content.size, ctx.now)

        _, version = await store(self._platform, ctx, asked, accept)
        return _answer(ctx, fields, version)


def _refuse_unsupported(fields: Mapping[str, str]) -> None:
    for name in fields:
        known = name in _MEMBERS or name in _SIGNING or name.startswith(_METADATA)
        if name.startswith("x-amz-") and not known:
            raise NotSupported(f"Clary does not support the form field {name}.")


def _members(fields: Mapping[str, str]) -> Document:
    """The fields of a form as PutObject names them."""
    metadata = {name.removeprefix(_METADATA): value for name, value in fields.items() if name.startswith(_METADATA)}
    members: Document = {member: fields[name] for name, member in _MEMBERS.items() if name in fields}
    if until := members.get("ObjectLockRetainUntilDate"):
        members["ObjectLockRetainUntilDate"] = _moment(until)
    if "tagging" in fields:
        members["Tagging"] = urlencode(_tags(fields["tagging"]))
    return {"Metadata": metadata, **members}


def _tags(text: str) -> list[tuple[str, str]]:
    """The tags of a `<Tagging>` document, as PutObjectTagging takes it.

    Raises:
        MalformedXML: it is none.
    """
    if "<!" in text:
        raise MalformedXML
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # without declarations nothing can be expanded
    except ElementTree.ParseError:
        raise MalformedXML from None
    tags = [(tag.findtext("{*}Key"), tag.findtext("{*}Value")) for tag in root.iterfind("{*}TagSet/{*}Tag")]
    if root.tag.rpartition("}")[2] != "Tagging" or any(key is None or value is None for key, value in tags):
        raise MalformedXML
    return [(str(key), str(value)) for key, value in tags]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = "The retain until date must be provided in ISO 8601 format"
        raise InvalidArgument(message, "x-amz-object-lock-retain-until-date", text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _answer(ctx: Context, fields: Mapping[str, str], version: Version) -> Reply:
    """What the form asked for: a redirect, or a status."""
    location = f"{ctx.endpoint}/{version.bucket}/{quote(version.key)}"
    headers = {"ETag": version.etag, "Location": location}
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect and urlsplit(redirect).scheme in ("http", "https"):
        told = urlencode({"bucket": version.bucket, "key": version.key, "etag": version.etag})
        separator = "&" if "?" in redirect else "?"
        return Reply({}, 303, {**headers, "Location": f"{redirect}{separator}{told}"})
    status = fields.get("success_action_status")
    members = {"Location": location, "Bucket": version.bucket, "Key": version.key, "ETag": version.etag}
    return Reply(members, int(status) if status in ("200", "201") else 204, headers)
