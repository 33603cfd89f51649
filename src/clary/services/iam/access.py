"""What each operation of IAM needs to be allowed: `iam:Operation`, on the resource that the request names.

Source: "Actions, resources, and condition keys for AWS Identity and Access Management (IAM)" in the service
authorization reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clary import arn
from clary.auth import entities, passwords
from clary.auth.check import Check
from clary.auth.needs import pass_role, request_tags
from clary.context import PrincipalKind
from clary.services.iam.limited_sessions import refuse_limited_session

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.records import Record

ARNS = ("OpenIDConnectProviderArn", "SAMLProviderArn")
"""Members that hold the ARN of the resource."""

NAMES: Mapping[str, str] = {
    "InstanceProfileName": entities.INSTANCE_PROFILE,
    "GroupName": entities.GROUP,
    "RoleName": entities.ROLE,
    "UserName": entities.USER,
    "PolicyName": entities.POLICY,
    "ServerCertificateName": entities.SERVER_CERTIFICATE,
    "VirtualMFADeviceName": entities.MFA_DEVICE,
}
"""Members that name the resource, and its kind; where a request has several, the first of these counts."""

LATER_ARNS = ("PolicyArn", "PolicySourceArn", "Arn", "SerialNumber")
"""Members that hold the ARN of the resource where nothing else names it."""

OWN = frozenset(
    (
        *("GetUser", "CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "DeleteAccessKey", "ChangePassword"),
        *("GetLoginProfile", "CreateLoginProfile", "DeleteLoginProfile", "ListMFADevices", "GetMFADevice"),
        *("ListSigningCertificates", "UploadSigningCertificate", "UpdateSigningCertificate"),
        *("DeleteSigningCertificate", "ListSSHPublicKeys"),
    )
)
"""Operations that mean the caller when they name no user."""

LISTS: Mapping[str, str] = {
    "ListUsers": entities.USER,
    "ListGroups": entities.GROUP,
    "ListRoles": entities.ROLE,
    "ListInstanceProfiles": entities.INSTANCE_PROFILE,
    "ListServerCertificates": entities.SERVER_CERTIFICATE,
    "ListVirtualMFADevices": entities.MFA_DEVICE,
}
"""Operations about all entities of a kind below a path."""

NEW_NAMES: Mapping[str, tuple[str, str]] = {
    "UpdateUser": ("NewUserName", entities.USER),
    "UpdateGroup": ("NewGroupName", entities.GROUP),
    "UpdateServerCertificate": ("NewServerCertificateName", entities.SERVER_CERTIFICATE),
}
"""Operations that need the permission for what an entity will be called as well."""

_IMPLIED = frozenset(("ChangePassword", "GetAccountPasswordPolicy"))

Keys = dict[str, str | Sequence[str]]


def access(platform: Platform, ctx: Context, request: Document) -> list[Check]:
    """The permissions for one call."""
    refuse_limited_session(ctx)
    resource, record = _resource(platform, ctx, request)
    action = f"iam:{ctx.operation}"
    keys = {**_resource_keys(record), **_request_keys(request)}
    checks = [Check(action, resource, keys, _implied(platform, ctx))]
    if ctx.operation == "AddRoleToInstanceProfile":
        role, _ = _entity(platform, ctx, entities.ROLE, str(request.get("RoleName", "")), request)
        checks.append(pass_role(platform.records, role, "ec2.amazonaws.com", resource))
    elif ctx.operation in NEW_NAMES and record is not None:
        checks += [Check(action, target, keys) for target in _renamed(ctx, request, record)]
    return checks


def _implied(platform: Platform, ctx: Context) -> tuple[str, ...]:
    """What the account's password policy allows by itself: all users to change their own password."""
    if ctx.operation not in _IMPLIED or ctx.principal.kind is not PrincipalKind.USER:
        return ()
    policy = passwords.policy_of(platform.records, ctx.account)
    if policy is None or not policy.get("AllowUsersToChangePassword"):
        return ()
    statement = {"Effect": "Allow", "Principal": {"AWS": ctx.principal.arn}, "Action": f"iam:{ctx.operation}"}
    return (json.dumps({"Version": "2012-10-17", "Statement": statement}),)


def _resource(platform: Platform, ctx: Context, request: Document) -> tuple[str, Record | None]:
    for member in ARNS:
        if member in request:
            return _of_arn(platform, request, member)
    for member, kind in NAMES.items():
        if member in request and not (member == "PolicyName" and ctx.operation != "CreatePolicy"):
            return _entity(platform, ctx, kind, str(request[member]), request)
    if ctx.operation in OWN and ctx.principal.kind is PrincipalKind.USER:
        return _entity(platform, ctx, entities.USER, ctx.principal.name, {})
    for member in LATER_ARNS:
        if member in request:
            return _of_arn(platform, request, member)
    return _elsewhere(platform, ctx, request)


def _elsewhere(platform: Platform, ctx: Context, request: Document) -> tuple[str, Record | None]:
    """The resource of an operation that names it in a way of its own."""
    match ctx.operation:
        case "CreateSAMLProvider":
            return _arn(ctx, f"saml-provider/{request.get('Name', '')}"), None
        case "CreateOpenIDConnectProvider":
            return _arn(ctx, f"oidc-provider/{str(request.get('Url', '')).removeprefix('https://')}"), None
        case "CreateServiceLinkedRole":
            return _arn(ctx, f"role/aws-service-role/{request.get('AWSServiceName', '')}/*"), None
        case "GetAccessKeyLastUsed":
            key = platform.records.get(entities.ACCESS_KEY, ctx.account, "", str(request.get("AccessKeyId", "")))
            user = str(key.spec["UserName"]) if key is not None else ""
            return _entity(platform, ctx, entities.USER, user, {}) if user else ("*", None)
    if ctx.operation in LISTS:
        return _arn(ctx, f"{LISTS[ctx.operation]}{request.get('PathPrefix', '/')}"), None
    return "*", None


def _of_arn(platform: Platform, request: Document, member: str) -> tuple[str, Record | None]:
    resource = str(request[member])
    return resource, platform.records.by_arn(resource)


def _entity(platform: Platform, ctx: Context, kind: str, name: str, request: Document) -> tuple[str, Record | None]:
    record = platform.records.get(kind, ctx.account, "", name)
    if record is not None and record.arn:
        return record.arn, record
    return _arn(ctx, f"{kind}{request.get('Path', '/')}{name}"), record


def _renamed(ctx: Context, request: Document, record: Record) -> list[str]:
    """The ARN that an entity will have, where that is another one."""
    member, kind = NEW_NAMES[ctx.operation]
    path = request.get("NewPath", record.spec.get("Path", "/"))
    target = _arn(ctx, f"{kind}{path}{request.get(member, record.name)}")
    return [target] if target != record.arn else []


def _arn(ctx: Context, resource: str) -> str:
    return arn.build("iam", "", ctx.account, resource)


def _request_keys(request: Document) -> Keys:
    keys = request_tags(request.get("Tags"))
    if request.get("TagKeys"):
        keys["aws:TagKeys"] = [str(key) for key in request["TagKeys"]]
    for member, key in (
        ("PolicyArn", "iam:PolicyARN"),
        ("PermissionsBoundary", "iam:PermissionsBoundary"),
        ("AWSServiceName", "iam:AWSServiceName"),
    ):
        if member in request:
            keys[key] = str(request[member])
    return keys


def _resource_keys(record: Record | None) -> Keys:
    if record is None:
        return {}
    tags = record.tags.items()
    keys: Keys = {f"{service}:ResourceTag/{key}": value for key, value in tags for service in ("aws", "iam")}
    boundary = record.spec.get(entities.BOUNDARY)
    return {"iam:PermissionsBoundary": str(boundary), **keys} if boundary else keys
