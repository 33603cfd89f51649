"""STS: who am I, and credentials for a while."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.auth import entities, policy
from clary.auth.check import Check
from clary.auth.credentials import role_session
from clary.context import PrincipalKind
from clary.errors import AccessDenied, ServiceError
from clary.services.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.api import sts as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record, Records

_DEFAULT_ROLE_S = 3600
_CHAINED_ROLE_S = 3600
_DEFAULT_SESSION_S = 43200
_ROOT_SESSION_S = 3600
_SESSION_POLICY_LIMIT = 2048


class ValidationError(ServiceError):
    """A parameter does not fit."""


class MalformedPolicyDocument(ServiceError):
    """The session policy is no policy."""


class PackedPolicyTooLarge(ServiceError):
    """The session policies and tags take too much room."""


class Tokens:
    """Identities and temporary credentials."""

    def __init__(self, platform: Platform) -> None:
        self._records = platform.records
        self._credentials = platform.credentials

    def get_caller_identity(self, ctx: Context, request: api.GetCallerIdentityRequest) -> api.GetCallerIdentityResponse:  # noqa: ARG002  # as all handlers
        """Who signed the request."""
        return {"UserId": ctx.principal.user_id, "Account": ctx.principal.account, "Arn": ctx.principal.arn}

    def assume_role(self, ctx: Context, request: api.AssumeRoleRequest) -> Document:
        """Credentials of a role whose trust policy names the caller."""
        if ctx.principal.kind is PrincipalKind.ROOT:
            raise AccessDenied("Roles may not be assumed by root accounts.")
        role = _role(self._records, request["RoleArn"])
        if role is None:  # the trust check refuses it before, save for calls that are not checked
            raise AccessDenied(_not_authorized(ctx, request["RoleArn"]))
        duration = timedelta(seconds=_role_duration(ctx, role, request))
        policies = self._session_policies(request)
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
        session = request["RoleSessionName"]
        principal = role_session(role, session, policies, tags)
        issued = self._credentials.issue(principal, duration)
        answer: Document = {
            "Credentials": issued,
            "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
        }
        if policies or tags:
            answer["PackedPolicySize"] = _packed_size(policies, tags)
        return answer

    def get_session_token(self, ctx: Context, request: api.GetSessionTokenRequest) -> Document:
        """Temporary credentials of the caller itself."""
        if ctx.principal.kind not in (PrincipalKind.USER, PrincipalKind.ROOT) or _is_temporary(ctx):
            raise AccessDenied("Cannot call GetSessionToken with session credentials")
        seconds = int(request.get("DurationSeconds", _DEFAULT_SESSION_S))
        if ctx.principal.kind is PrincipalKind.ROOT:
            seconds = min(seconds, _ROOT_SESSION_S)
        issued = self._credentials.issue(ctx.principal, timedelta(seconds=seconds))
        return {"Credentials": issued}

    def get_access_key_info(self, ctx: Context, request: api.GetAccessKeyInfoRequest) -> api.GetAccessKeyInfoResponse:
        """The account to which an access key belongs."""
        key = request["AccessKeyId"]
        if not key.startswith("ASIA") and self._records.get(entities.ACCESS_KEY, ctx.account, "", key) is None:
            raise ValidationError(f"The access key {key} is not valid.")
        return {"Account": ctx.account}

    def _session_policies(self, request: api.AssumeRoleRequest) -> tuple[str, ...]:
        documents = [request["Policy"]] if request.get("Policy") else []
        for each in request.get("PolicyArns", ()):
            document = entities.managed_document(self._records, each["arn"])
            if document is None:
                raise ValidationError(f"The policy {each['arn']} does not exist or is not attachable.")
            documents.append(document)
        for document in documents:
            _refuse_malformed(document)
        if len(request.get("Policy", "")) > _SESSION_POLICY_LIMIT:
            raise PackedPolicyTooLarge(
                "Packed policy consumes more than 100% of allotted space, please use smaller policy."
            )
        return tuple(documents)


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    """The permissions for one call: none to ask who one is, the trust policy to take on a role."""
    if ctx.operation in ("GetCallerIdentity", "GetSessionToken"):
        return [Check(f"sts:{ctx.operation}", anonymous=True)]
    if ctx.operation != "AssumeRole":
        return [Check(f"sts:{ctx.operation}")]
    role_arn = str(request.get("RoleArn", ""))
    role = _role(platform.records, role_arn)
    trust = str(role.spec["AssumeRolePolicyDocument"]) if role else ""
    keys = _assume_role_keys(request)
    actions = ["sts:AssumeRole", *(["sts:TagSession"] if request.get("Tags") else [])]
    if request.get("SourceIdentity"):
        actions.append("sts:SetSourceIdentity")
    owner = role.account if role else ctx.account
    return [Check(action, role_arn, keys, (trust,), owner, trust=True) for action in actions]


SERVICE = Service("sts", Tokens, access=access)


def _assume_role_keys(request: Members) -> dict[str, str | Sequence[str]]:
    keys: dict[str, str | Sequence[str]] = {"sts:RoleSessionName": str(request.get("RoleSessionName", ""))}
    for member in ("ExternalId", "SourceIdentity"):
        if request.get(member):
            keys[f"sts:{member}"] = request[member]
    # Permissions are checked before the form is, so a part of a tag may be missing.
    tags = {tag.get("Key", ""): tag.get("Value", "") for tag in request.get("Tags") or ()}
    keys.update({f"aws:RequestTag/{key}": value for key, value in tags.items()})
    if tags:
        keys["aws:TagKeys"] = list(tags)
    if request.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = list(request["TransitiveTagKeys"])
    return keys


def _role(records: Records, role_arn: str) -> Record | None:
    record = records.by_arn(role_arn)
    return record if record is not None and record.kind == entities.ROLE else None


def _role_duration(ctx: Context, role: Record, request: api.AssumeRoleRequest) -> int:
    seconds = int(request.get("DurationSeconds", _DEFAULT_ROLE_S))
    if ctx.principal.kind is PrincipalKind.ASSUMED_ROLE and seconds > _CHAINED_ROLE_S:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if seconds > int(role.spec.get("MaxSessionDuration", _DEFAULT_ROLE_S)):
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def _refuse_malformed(document: str) -> None:
    try:
        policy.parse(document)
    except policy.InvalidPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error


def _packed_size(policies: tuple[str, ...], tags: dict[str, str]) -> int:
    used = sum(map(len, policies)) + sum(len(key) + len(value) for key, value in tags.items())
    return math.ceil(100 * used / _SESSION_POLICY_LIMIT)


def _is_temporary(ctx: Context) -> bool:
    return ctx.principal.access_key.startswith("ASIA")


def _not_authorized(ctx: Context, role_arn: str) -> str:
    return f"User: {ctx.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
