"""Who is asking, and credentials of the user who asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary import arn
from clary.auth import entities, messages
from clary.context import Principal, PrincipalKind
from clary.errors import AccessDenied
from clary.services.sts.errors import InvalidAuthorizationMessageException, ValidationError
from clary.services.sts.second_factor import SecondFactor
from clary.services.sts.session import packed_size, session_policies, session_tags

if TYPE_CHECKING:
    from clary.api import sts as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_DEFAULT_S = 43200
_ROOT_S = 3600


class Identity:
    """Callers, and sessions of themselves."""

    def __init__(self, platform: Platform) -> None:
        self._records = platform.records
        self._credentials = platform.credentials
        self._keyring = platform.keyring
        self._second_factor = SecondFactor(platform)

    def get_caller_identity(self, ctx: Context, request: api.GetCallerIdentityRequest) -> api.GetCallerIdentityResponse:  # noqa: ARG002  # as all handlers
        """Who signed the request."""
        return {"UserId": ctx.principal.user_id, "Account": ctx.principal.account, "Arn": ctx.principal.arn}

    def get_session_token(self, ctx: Context, request: api.GetSessionTokenRequest) -> Document:
        """Temporary credentials of the caller itself, which remember a second factor."""
        _refuse_sessions(ctx)
        shown = self._second_factor.spend(ctx, request)
        principal = replace(ctx.principal, mfa_at=ctx.now if shown else None)
        return {"Credentials": self._credentials.issue(principal, _duration(ctx, request.get("DurationSeconds")))}

    def get_federation_token(self, ctx: Context, request: api.GetFederationTokenRequest) -> Document:
        """Credentials for somebody whom the caller knows: what the caller and the given policies both allow."""
        _refuse_sessions(ctx)
        policies = session_policies(self._records, request)
        tags, _ = session_tags(ctx, request)
        size = packed_size(policies, tags)
        principal = Principal(
            PrincipalKind.FEDERATED_USER,
            ctx.account,
            arn.build("sts", "", ctx.account, f"federated-user/{request['Name']}"),
            f"{ctx.account}:{request['Name']}",
            ctx.principal.name,
            session_policies=policies or (entities.NOTHING,),
            session_tags=tags,
        )
        duration = _duration(ctx, request.get("DurationSeconds"))
        return {
            "Credentials": self._credentials.issue(principal, duration, holder=ctx.principal.user_id),
            "FederatedUser": {"FederatedUserId": principal.user_id, "Arn": principal.arn},
            "PackedPolicySize": size,
        }

    def get_access_key_info(self, ctx: Context, request: api.GetAccessKeyInfoRequest) -> api.GetAccessKeyInfoResponse:
        """The account to which an access key belongs."""
        key = request["AccessKeyId"]
        if not key.startswith("ASIA") and self._records.get(entities.ACCESS_KEY, ctx.account, "", key) is None:
            raise ValidationError(f"The access key {key} is not valid.")
        return {"Account": ctx.account}

    def decode_authorization_message(self, ctx: Context, request: api.DecodeAuthorizationMessageRequest) -> Document:  # noqa: ARG002  # as all handlers
        """Why EC2 refused a call."""
        decoded = messages.decode(self._keyring, request["EncodedMessage"])
        if decoded is None:
            raise InvalidAuthorizationMessageException("The authorization message is not valid.")
        return {"DecodedMessage": decoded}


def _refuse_sessions(ctx: Context) -> None:
    is_long_term = ctx.principal.kind in (PrincipalKind.USER, PrincipalKind.ROOT)
    if not is_long_term or ctx.principal.access_key.startswith("ASIA"):
        raise AccessDenied(f"Cannot call {ctx.operation} with session credentials")


def _duration(ctx: Context, wanted: int | None) -> timedelta:
    seconds = wanted or _DEFAULT_S
    return timedelta(seconds=min(seconds, _ROOT_S) if ctx.principal.kind is PrincipalKind.ROOT else seconds)
