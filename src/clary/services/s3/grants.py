"""Access control lists: what they grant, whether that is public, and what it means to the evaluation of policies.

A list is kept as the name of a canned one, or as its grants. To be weighed, it is written as a policy: lists are the
older language for the same thing.

Source: "Access control list (ACL) overview", Amazon S3 user guide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from clary.services.s3.bucket import account_of, acls_are_off, canonical_id
from clary.services.s3.errors import (
    AccessControlListNotSupported,
    EmailGranteesAreOver,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.services.service import Document, Members
    from clary.store.records import Record

Acl = str | list[dict[str, Any]]
"""The name of a canned list, or grants as AWS writes them."""

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
_PUBLIC = frozenset({ALL_USERS, AUTHENTICATED_USERS})

SWITCHES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
"""Those of Block Public Access."""

PRIVATE = "private"
BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
_FULL_CONTROL = "FULL_CONTROL"
MAX_GRANTS = 100

_GROUP_GRANTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
}
"""What canned lists grant to groups ("Canned ACL")."""

_TO_BUCKET_OWNER = {"bucket-owner-read": "READ", BUCKET_OWNER_FULL_CONTROL: _FULL_CONTROL}
CANNED = frozenset({PRIVATE, "aws-exec-read", *_GROUP_GRANTS, *_TO_BUCKET_OWNER})

HEADERS: Mapping[str, tuple[str, str]] = {
    "GrantFullControl": ("x-amz-grant-full-control", _FULL_CONTROL),
    "GrantRead": ("x-amz-grant-read", "READ"),
    "GrantReadACP": ("x-amz-grant-read-acp", "READ_ACP"),
    "GrantWrite": ("x-amz-grant-write", "WRITE"),
    "GrantWriteACP": ("x-amz-grant-write-acp", "WRITE_ACP"),
}
"""The members that grant, their headers and permissions."""

_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "READ": (
        *("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"),
        *("s3:GetObject", "s3:GetObjectVersion"),
    ),
    "WRITE": ("s3:PutObject",),
    "READ_ACP": ("s3:GetBucketAcl", "s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    "WRITE_ACP": ("s3:PutBucketAcl", "s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
}
"""What each permission allows ("Mapping of ACL permissions and access policy permissions")."""

_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*"?([^"]*)"?\s*', re.IGNORECASE)


def asked(request: Members, bucket: Record) -> Acl:
    """The list that a request brings in its headers; empty when it brings none.

    Raises:
        AccessControlListNotSupported: the bucket takes none.
        ServiceError: it is no list.
    """
    canned = str(request.get("ACL") or "")
    granted = [(member, header) for member, (header, _) in HEADERS.items() if request.get(member)]
    if canned and granted:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if acls_are_off(bucket) and (granted or canned not in ("", BUCKET_OWNER_FULL_CONTROL)):
        raise AccessControlListNotSupported
    if canned and canned not in CANNED:
        raise InvalidArgument("", "x-amz-acl", canned)
    if not granted:
        return canned
    return [grant for member, header in granted for grant in _of_header(header, str(request[member]), member)]


def of_body(document: Members, owner: str) -> Acl:
    """The list in an `AccessControlPolicy`; `owner` is the account that owns the bucket or object.

    Raises:
        MalformedACLError: it is incomplete.
        InvalidArgument: a grantee does not exist.
    """
    named, grants = (document.get("Owner") or {}).get("ID"), document.get("Grants")
    if named is None or grants is None or len(grants) > MAX_GRANTS:
        raise MalformedACLError
    if account_of(named) != owner:
        raise InvalidArgument("Invalid id", "CanonicalUser/ID", named)
    return [_checked(grant) for grant in grants]


def grants_of(acl: Acl, owner: str, bucket_owner: str) -> list[Document]:
    """The grants of a list, as responses tell them."""
    if not isinstance(acl, str):
        return acl
    grants = [_to_account(owner, _FULL_CONTROL)]
    if acl in _TO_BUCKET_OWNER and owner != bucket_owner:
        grants.append(_to_account(bucket_owner, _TO_BUCKET_OWNER[acl]))
    for group, permission in _GROUP_GRANTS.get(acl, ()):
        grants.append({"Grantee": {"Type": "Group", "URI": group}, "Permission": permission})
    return grants


def is_public(acl: Acl) -> bool:
    """Whether a list grants anything to everybody, or to everybody with an account."""
    if isinstance(acl, str):
        return any(group in _PUBLIC for group, _ in _GROUP_GRANTS.get(acl, ()))
    return any(grant["Grantee"].get("URI") in _PUBLIC for grant in acl)


def as_policy(acl: Acl, owner: str, bucket: Record) -> str:
    """The list as the policy that says the same; empty when it grants nothing beyond the owner."""
    ignored = _PUBLIC if blocks(bucket, "IgnorePublicAcls") else frozenset[str]()
    statements = [
        _statement(grant)
        for grant in grants_of(acl, owner, bucket.account)
        if grant["Grantee"].get("ID") != canonical_id(owner) and grant["Grantee"].get("URI") not in ignored
    ]
    return orjson.dumps({"Version": "2012-10-17", "Statement": statements}).decode() if statements else ""


def blocks(bucket: Record, switch: str) -> bool:
    """Whether one of the four switches of Block Public Access is on."""
    return bool(bucket.spec.get("PublicAccessBlockConfiguration", {}).get(switch))


def _statement(grant: Document) -> Document:
    grantee, permission = grant["Grantee"], grant["Permission"]
    granted = _ACTIONS if permission == _FULL_CONTROL else (permission,)
    statement: Document = {
        "Sid": f"AccessControlList-{permission}",
        "Effect": "Allow",
        "Principal": _principal(grantee),
        "Action": [action for each in granted for action in _ACTIONS[each]],
        "Resource": "*",
    }
    if grantee.get("URI") == AUTHENTICATED_USERS:
        statement["Condition"] = {"StringNotEquals": {"aws:PrincipalType": "Anonymous"}}
    return statement


def _principal(grantee: Members) -> str | dict[str, str]:
    if "ID" in grantee:
        return {"AWS": account_of(grantee["ID"])}
    return "*" if grantee["URI"] in _PUBLIC else {"Service": "logging.s3.amazonaws.com"}


def _of_header(header: str, text: str, member: str) -> Iterator[Document]:
    for part in text.split(","):
        match = _GRANTEE.fullmatch(part)
        if match is None:
            raise InvalidArgument("Argument format not recognized", header, text)
        kind, value = match[1].lower(), match[2]
        grantee = {"id": {"Type": "CanonicalUser", "ID": value}, "uri": {"Type": "Group", "URI": value}}.get(kind)
        permission = HEADERS[member][1]
        yield _checked({"Grantee": grantee or {"Type": "AmazonCustomerByEmail"}, "Permission": permission})


def _checked(grant: Members) -> Document:
    """One grant, reduced to what is kept."""
    grantee, permission = grant.get("Grantee") or {}, grant.get("Permission")
    if permission not in (_FULL_CONTROL, *_ACTIONS):
        raise MalformedACLError
    match grantee.get("Type"):
        case "CanonicalUser":
            account = account_of(grantee.get("ID") or "")
            if not account:
                raise InvalidArgument("Invalid id", "CanonicalUser/ID", grantee.get("ID"))
            return _to_account(account, permission)
        case "Group":
            group = grantee.get("URI")
            if group not in (*_PUBLIC, LOG_DELIVERY):
                raise InvalidArgument("Invalid group uri", "Group/URI", group)
            return {"Grantee": {"Type": "Group", "URI": group}, "Permission": permission}
        case "AmazonCustomerByEmail":
            raise EmailGranteesAreOver
    raise MalformedACLError


def _to_account(account: str, permission: str) -> Document:
    return {"Grantee": {"Type": "CanonicalUser", "ID": canonical_id(account)}, "Permission": permission}
