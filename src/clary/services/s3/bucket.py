"""A bucket as the platform keeps it: a record under its ARN, since names are shared by all accounts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from clary import arn
from clary.auth.identifiers import canonical_user_id
from clary.errors import AccessDenied
from clary.services.s3.errors import InvalidBucketName, NoSuchBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Versioning
    from clary.store.records import Record

KIND = "bucket"

_CANONICAL_ID = re.compile(r"0{48}([0-9a-f]{16})")
_ACCOUNT_DIGITS = 12
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")


def refuse_name(name: str) -> None:
    """Accepts a name that a new bucket may bear ("General purpose bucket naming rules", Amazon S3 user guide).

    Raises:
        InvalidBucketName: it breaks the rules.
    """
    if (
        _NAME.fullmatch(name) is None
        or ".." in name
        or _ADDRESS.fullmatch(name)
        or name.startswith(_RESERVED_STARTS)
        or name.endswith(_RESERVED_ENDS)
    ):
        raise InvalidBucketName(name)


def bucket_arn(name: str) -> str:
    """The ARN of a bucket."""
    return arn.build("s3", "", "", name)


def find(platform: Platform, name: str) -> Record | None:
    """The bucket, whoever owns it."""
    return platform.records.recall(KIND, f"arn:aws:s3:::{name}")


def bucket_of(platform: Platform, request: Members, owner_member: str = "ExpectedBucketOwner") -> Record:
    """The bucket that a request names.

    Raises:
        NoSuchBucket: there is none.
        AccessDenied: it belongs to another account than the caller expects.
    """
    name = request["Bucket"]
    record = find(platform, name)
    if record is None:
        raise NoSuchBucket(name)
    expected = request.get(owner_member)
    if expected and expected != record.account:
        raise AccessDenied("Access Denied")
    return record


def edit(platform: Platform, record: Record, ctx: Context, change: Callable[[Document], None]) -> None:
    """Changes the settings of a bucket."""

    def changed(current: Record) -> Record:
        change(current.spec)
        current.modified = ctx.now
        return current

    platform.records.edit(record, changed)


def versioning_of(record: Record) -> Versioning:
    """The versioning state of a bucket."""
    return cast("Versioning", record.spec.get("Versioning", {}).get("Status", ""))


def acls_are_off(record: Record) -> bool:
    """Whether the bucket's ownership setting turns access control lists off, as it does by default."""
    return ownership_of(record) == "BucketOwnerEnforced"


def ownership_of(record: Record) -> str:
    """Who owns new objects; those who write them, when the bucket does not say."""
    rules = record.spec.get("OwnershipControls", {}).get("Rules", [])
    return str(rules[0]["ObjectOwnership"]) if rules else "ObjectWriter"


def canonical_id(account: str) -> str:
    """How S3 names an account in owners and grants: 64 hexadecimal digits that stand for it."""
    return canonical_user_id(account)


def account_of(canonical: str) -> str:
    """The account that a canonical id names; empty when it names none."""
    match = _CANONICAL_ID.fullmatch(canonical)
    account = f"{int(match[1], 16):012d}" if match else ""
    return account if len(account) == _ACCOUNT_DIGITS else ""
