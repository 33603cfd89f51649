"""The condition keys of a request.

Source: "AWS global condition context keys", IAM user guide. Keys of organizations and of VPC endpoints are never there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.context import PrincipalKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from clary.auth.check import Check
    from clary.auth.patterns import Values
    from clary.context import Context

TOKEN_ISSUE_TIME = "aws:tokenissuetime"  # noqa: S105  # a name
"""The key, among those of a session, that tells when it began."""

_TAG = "aws:principaltag/"
_GLOBAL_REGION = "us-east-1"


class RequestKeys:
    """Looks condition keys up, only when a policy asks for them; `tags` are those of the user or role."""

    def __init__(self, ctx: Context, check: Check, tags: Mapping[str, str]) -> None:
        self._ctx = ctx
        self._check = check
        self._tags = tags
        self._folded: dict[str, Values] | None = None

    def __call__(self, key: str) -> Values | None:
        """The values of `key`, given in lower case; None when the request does not have it."""
        if self._folded is None:
            self._folded = {name.lower(): _values(value) for name, value in self._check.keys.items()}
        if key in self._folded:
            return self._folded[key]
        if key == "aws:resourceaccount":
            return (self._check.owner or self._ctx.account,)
        if key.startswith(_TAG):
            return self._principal_tag(key.removeprefix(_TAG))
        tell = _GLOBAL.get(key)
        value = tell(self._ctx) if tell else self._ctx.signed.get(key) or self._ctx.principal.session_keys.get(key)
        if value is not None:
            return (value,)
        return self._check.late(key) if self._check.late is not None else None

    def _principal_tag(self, name: str) -> Values | None:
        for tags in (self._ctx.principal.session_tags, self._tags):
            for tag, value in tags.items():
                if tag.lower() == name:
                    return (value,)
        return None


def moment(time: datetime) -> str:
    """A time as condition keys tell it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def principal_keys(ctx: Context) -> dict[str, str]:
    """The keys that tell who calls, where they are there."""
    told = {key: tell(ctx) for key, tell in _PRINCIPAL.items()}
    return {key: value for key, value in told.items() if value is not None}


def _values(value: str | Sequence[str]) -> Values:
    return (value,) if isinstance(value, str) else tuple(value)


def _principal_arn(ctx: Context) -> str | None:
    if ctx.principal.kind is PrincipalKind.ANONYMOUS:
        return None
    return ctx.principal.role_arn or ctx.principal.arn


def _username(ctx: Context) -> str | None:
    return ctx.principal.name if ctx.principal.kind is PrincipalKind.USER else None


def _service_name(ctx: Context) -> str | None:
    return ctx.principal.name if ctx.principal.kind is PrincipalKind.SERVICE else None


def _multi_factor(ctx: Context) -> str | None:
    """Only temporary credentials tell whether a second factor was used."""
    if not ctx.principal.access_key.startswith("ASIA"):
        return None
    return str(ctx.principal.mfa_at is not None).lower()


def _multi_factor_age(ctx: Context) -> str | None:
    if ctx.principal.mfa_at is None:
        return None
    return str(int((ctx.now - ctx.principal.mfa_at).total_seconds()))


def _source_account(ctx: Context) -> str | None:
    """For whose resource a service acts; other callers do not have the key."""
    return ctx.account if ctx.principal.kind is PrincipalKind.SERVICE else None


def _requested_region(ctx: Context) -> str | None:
    """The region of the endpoint; that of a global service is always the same one."""
    return _GLOBAL_REGION if ctx.service == "iam" else ctx.region or None


_TYPES = {
    PrincipalKind.ROOT: "Account",
    PrincipalKind.USER: "User",
    PrincipalKind.ASSUMED_ROLE: "AssumedRole",
    PrincipalKind.FEDERATED_USER: "FederatedUser",
    PrincipalKind.SERVICE: "Service",
    PrincipalKind.ANONYMOUS: "Anonymous",
}

_PRINCIPAL: Mapping[str, Callable[[Context], str | None]] = {
    "aws:username": _username,
    "aws:userid": lambda ctx: ctx.principal.user_id,
    "aws:principalarn": _principal_arn,
    "aws:principalaccount": lambda ctx: ctx.principal.account or None,
    "aws:principaltype": lambda ctx: _TYPES[ctx.principal.kind],
    "aws:principalisawsservice": lambda ctx: str(ctx.principal.kind is PrincipalKind.SERVICE).lower(),
    "aws:principalservicename": _service_name,
    "aws:principalservicenameslist": _service_name,
    "aws:multifactorauthpresent": _multi_factor,
    "aws:multifactorauthage": _multi_factor_age,
    "aws:sourceidentity": lambda ctx: ctx.principal.source_identity or None,
}

_GLOBAL: Mapping[str, Callable[[Context], str | None]] = {
    **_PRINCIPAL,
    "aws:sourceaccount": _source_account,
    "aws:sourceip": lambda ctx: None if ctx.via else ctx.source_ip,
    "aws:securetransport": lambda ctx: str(ctx.secure).lower(),
    "aws:currenttime": lambda ctx: moment(ctx.now),
    "aws:epochtime": lambda ctx: str(int(ctx.now.timestamp())),
    "aws:useragent": lambda ctx: ctx.user_agent or None,
    "aws:referer": lambda ctx: ctx.referer or None,
    "aws:requestedregion": _requested_region,
    "aws:viaawsservice": lambda ctx: str(bool(ctx.via)).lower(),
    "aws:calledvia": lambda ctx: ctx.via or None,
    "aws:calledviafirst": lambda ctx: ctx.via or None,
    "aws:calledvialast": lambda ctx: ctx.via or None,
}
