"""Sessions of roles."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.auth.credentials import role_session
from clary.context import PrincipalKind
from clary.errors import AccessDenied, NotSupported
from clary.services.sts.access import find_role
from clary.services.sts.errors import ValidationError
from clary.services.sts.second_factor import SecondFactor
from clary.services.sts.session import packed_size, session_policies, session_tags

if TYPE_CHECKING:
    from clary.api import sts as api
    from clary.context import Context, Principal
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

DEFAULT_S = 3600
_CHAINED_S = 3600


class Roles:
    """Taking on roles by signed requests."""

    def __init__(self, platform: Platform) -> None:
        self._records = platform.records
        self._credentials = platform.credentials
        self._second_factor = SecondFactor(platform)

    def assume_role(self, ctx: Context, request: api.AssumeRoleRequest) -> Document:
        """Credentials of a role whose trust policy names the caller."""
        refuse_unsupported(request)
        if ctx.principal.kind is PrincipalKind.ROOT:
            raise AccessDenied("Roles may not be assumed by root accounts.")
        role = find_role(self._records, request["RoleArn"])
        if role is None or ctx.principal.kind is PrincipalKind.FEDERATED_USER:
            raise AccessDenied(
                f"User: {ctx.principal.arn} is not authorized to perform: sts:AssumeRole on resource: "
                f"{request['RoleArn']}"
            )
        duration = timedelta(seconds=role_duration(ctx, role, request))
        policies = session_policies(self._records, request)
        tags, transitive = session_tags(ctx, request)
        size = packed_size(policies, tags)
        self._second_factor.spend(ctx, request)
        principal = replace(
            role_session(role, request["RoleSessionName"], policies, tags),
            transitive_tags=transitive,
            source_identity=_source_identity(ctx, request),
        )
        answer = answered(principal, self._credentials.issue(principal, duration))
        return {**answer, "PackedPolicySize": size} if policies or tags else answer


def refuse_unsupported(request: Members) -> None:
    """Accepts a request that asks for nothing which is not here.

    Raises:
        NotSupported: it does; the message names it.
    """
    for member in ("ProvidedContexts", "MinimumSessionTokenSize", "ProviderId"):
        if request.get(member):
            raise NotSupported(f"Clary does not support {member} in requests for credentials of a role yet.")


def role_duration(ctx: Context, role: Record, request: Members) -> int:
    """The seconds that a session of a role lasts.

    Raises:
        ValidationError: the role, or that the session of a role asks, does not allow as many.
    """
    seconds = int(request.get("DurationSeconds", DEFAULT_S))
    if ctx.principal.kind is PrincipalKind.ASSUMED_ROLE and seconds > _CHAINED_S:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if seconds > int(role.spec.get("MaxSessionDuration", DEFAULT_S)):
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def answered(principal: Principal, credentials: Document) -> Document:
    """The members that all answers with a session of a role have."""
    answer: Document = {
        "Credentials": credentials,
        "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
    }
    return {**answer, "SourceIdentity": principal.source_identity} if principal.source_identity else answer


def _source_identity(ctx: Context, request: Members) -> str:
    """Once set, it stays through all sessions that follow."""
    former, wanted = ctx.principal.source_identity, str(request.get("SourceIdentity", ""))
    if former and wanted and wanted != former:
        raise AccessDenied("The source identity of the calling session cannot be changed.")
    return former or wanted
