"""What each operation of STS needs to be allowed.

Source: "Actions, resources, and condition keys for AWS Security Token Service" in the service authorization reference;
"Pass session tags in AWS STS" and "Monitor and control actions taken with assumed roles", IAM user guide, on what
chained sessions pass on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clary import arn
from clary.auth import entities
from clary.auth.check import Check
from clary.services.sts.errors import ValidationError
from clary.services.sts.second_factor import SecondFactor

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record, Records

_FOR_EVERYBODY = frozenset(("GetCallerIdentity", "GetSessionToken", "AssumeRoleWithWebIdentity"))
"""Two tell or give only what the caller is already; the third is decided when the token has been read."""

Keys = dict[str, str | Sequence[str]]


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    """The permissions for one call: none to ask who one is, the trust policy to take on a role."""
    if ctx.operation in _FOR_EVERYBODY:
        return [Check(f"sts:{ctx.operation}", anonymous=True)]
    if ctx.operation == "GetFederationToken":
        name = str(request.get("Name", ""))
        resource = arn.build("sts", "", ctx.account, f"federated-user/{name}")
        checks = [Check("sts:GetFederationToken", resource, tag_keys(request))]
        return [*checks, Check("sts:TagSession", resource, tag_keys(request))] if request.get("Tags") else checks
    if ctx.operation != "AssumeRole":
        return [Check(f"sts:{ctx.operation}")]
    return _assume_role(platform, ctx, request)


def find_role(records: Records, role_arn: str) -> Record | None:
    """The role of this ARN, or None."""
    record = records.by_arn(role_arn)
    return record if record is not None and record.kind == entities.ROLE else None


def tag_keys(request: Members) -> Keys:
    """The condition keys of the session tags that a request passes."""
    # Permissions are checked before the form is, so a part of a tag may be missing.
    tags = {tag.get("Key", ""): tag.get("Value", "") for tag in request.get("Tags") or ()}
    keys: Keys = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if tags:
        keys["aws:TagKeys"] = list(tags)
    if request.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = list(request["TransitiveTagKeys"])
    return keys


def _assume_role(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    role_arn = str(request.get("RoleArn", ""))
    _refuse_malformed(role_arn)
    role = find_role(platform.records, role_arn)
    trust = str(role.spec["AssumeRolePolicyDocument"]) if role else ""
    owner = role.account if role else ctx.account
    keys = {**_assume_role_keys(ctx, request), **_shown(platform, ctx, request), **_role_tags(role)}
    actions = ["sts:AssumeRole"]
    if request.get("Tags") or ctx.principal.transitive_tags:
        actions.append("sts:TagSession")
    if request.get("SourceIdentity") or ctx.principal.source_identity:
        actions.append("sts:SetSourceIdentity")
    return [Check(action, role_arn, keys, (trust,), owner, trust=True) for action in actions]


def _refuse_malformed(role_arn: str) -> None:
    """Accepts an ARN; one that is missing is left to the checks of the request."""
    marker, _, rest = role_arn.partition(":")
    parts = rest.split(":", 4)
    if role_arn and (marker != "arn" or len(parts) != 5 or not (parts[0] and parts[1] and parts[4])):
        raise ValidationError(f"{role_arn} is invalid")


def _assume_role_keys(ctx: Context, request: Members) -> Keys:
    keys: Keys = {"sts:RoleSessionName": str(request.get("RoleSessionName", ""))}
    if request.get("ExternalId"):
        keys["sts:ExternalId"] = str(request["ExternalId"])
    source = request.get("SourceIdentity") or ctx.principal.source_identity
    if source:
        keys["sts:SourceIdentity"] = str(source)
    return {**keys, **tag_keys(request)}


def _shown(platform: Platform, ctx: Context, request: Members) -> Mapping[str, str]:
    """A code of an MFA device counts in the trust policy; the session that it opens does not remember it."""
    if not SecondFactor(platform).check(ctx, request):
        return {}
    return {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "0"}


def _role_tags(role: Record | None) -> Mapping[str, str]:
    tags = role.tags if role else {}
    return {f"{service}:ResourceTag/{key}": value for key, value in tags.items() for service in ("aws", "iam")}
