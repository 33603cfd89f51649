"""What each operation of IAM needs to be allowed.

Source: "Actions, resources, and condition keys for AWS Identity and Access Management (IAM)" in the service
authorization reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clary import arn
from clary.auth import entities
from clary.auth.check import Check
from clary.context import PrincipalKind
from clary.services.iam.directory import tags_of

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.records import Record

_NAMED = (
    ("InstanceProfileName", entities.INSTANCE_PROFILE),
    ("GroupName", entities.GROUP),
    ("RoleName", entities.ROLE),
    ("UserName", entities.USER),
)
"""Where a request names several entities, the first of these is the resource."""

_OWN = frozenset(("GetUser", "CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "DeleteAccessKey"))
"""Operations that mean the caller when they name no user."""

Keys = dict[str, str | Sequence[str]]


def access(platform: Platform, ctx: Context, request: Document) -> list[Check]:
    """The permissions for one call."""
    resource, record = _resource(platform, ctx, request)
    checks = [Check(f"iam:{ctx.operation}", resource, {**_request_keys(request), **_resource_keys(record)})]
    if ctx.operation == "AddRoleToInstanceProfile":
        role, _ = _entity(platform, ctx, entities.ROLE, str(request.get("RoleName", "")), request)
        checks.append(Check("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}))
    return checks


def _resource(platform: Platform, ctx: Context, request: Document) -> tuple[str, Record | None]:
    for member, kind in _NAMED:
        if member in request:
            return _entity(platform, ctx, kind, str(request[member]), request)
    if ctx.operation in _OWN and ctx.principal.kind is PrincipalKind.USER:
        return _entity(platform, ctx, entities.USER, ctx.principal.name, request)
    if "PolicyArn" in request:
        return str(request["PolicyArn"]), platform.records.by_arn(str(request["PolicyArn"]))
    for member in ("PolicySourceArn", "Arn"):
        if member in request:
            return str(request[member]), None
    if ctx.operation == "CreatePolicy":
        return _entity(platform, ctx, entities.POLICY, str(request.get("PolicyName", "")), request)
    return "*", None


def _entity(platform: Platform, ctx: Context, kind: str, name: str, request: Document) -> tuple[str, Record | None]:
    record = platform.records.get(kind, ctx.account, "", name)
    if record is not None:
        return record.arn, record
    return arn.build("iam", "", ctx.account, f"{kind}{request.get('Path', '/')}{name}"), None


def _request_keys(request: Document) -> Keys:
    tags = tags_of(request.get("Tags") or [])
    keys: Keys = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if tags:
        keys["aws:TagKeys"] = list(tags)
    elif request.get("TagKeys"):
        keys["aws:TagKeys"] = list(request["TagKeys"])
    if "PolicyArn" in request:
        keys["iam:PolicyARN"] = request["PolicyArn"]
    if "PermissionsBoundary" in request:
        keys["iam:PermissionsBoundary"] = request["PermissionsBoundary"]
    return keys


def _resource_keys(record: Record | None) -> Mapping[str, str]:
    if record is None:
        return {}
    keys = {f"aws:ResourceTag/{key}": value for key, value in record.tags.items()}
    keys.update({f"iam:ResourceTag/{key}": value for key, value in record.tags.items()})
    boundary = record.spec.get(entities.BOUNDARY)
    return {"iam:PermissionsBoundary": str(boundary), **keys} if boundary else keys
