"""The condition keys of a request.

Source: "AWS global condition context keys", IAM user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.context import PrincipalKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clary.auth.patterns import Lookup, Values
    from clary.context import Context

_TAG = "aws:principaltag/"


class RequestKeys:
    """Looks condition keys up, only when a policy asks for them."""

    def __init__(
        self,
        ctx: Context,
        keys: Mapping[str, str | Sequence[str]],
        tags: Mapping[str, str],
        late: Lookup | None = None,
    ) -> None:
        self._ctx = ctx
        self._keys = keys
        self._tags = tags
        self._late = late
        self._folded: dict[str, Values] | None = None

    def __call__(self, key: str) -> Values | None:
        """The values of `key`, given in lower case; None when the request does not have it."""
        if self._folded is None:
            self._folded = {name.lower(): _values(value) for name, value in self._keys.items()}
        if key in self._folded:
            return self._folded[key]
        if key.startswith(_TAG):
            return self._principal_tag(key.removeprefix(_TAG))
        tell = _GLOBAL.get(key)
        value = tell(self._ctx) if tell else self._ctx.signed.get(key)
        if value is not None:
            return (value,)
        return self._late(key) if self._late is not None else None

    def _principal_tag(self, name: str) -> Values | None:
        for tags in (self._ctx.principal.session_tags, self._tags):
            for tag, value in tags.items():
                if tag.lower() == name:
                    return (value,)
        return None


def _values(value: str | Sequence[str]) -> Values:
    return (value,) if isinstance(value, str) else tuple(value)


def _principal_arn(ctx: Context) -> str | None:
    if ctx.principal.kind is PrincipalKind.ANONYMOUS:
        return None
    return ctx.principal.role_arn or ctx.principal.arn


def _username(ctx: Context) -> str | None:
    return ctx.principal.name if ctx.principal.kind is PrincipalKind.USER else None


def _multi_factor(ctx: Context) -> str | None:
    """Only temporary credentials tell whether a second factor was used."""
    return "false" if ctx.principal.access_key.startswith("ASIA") else None


def _source_account(ctx: Context) -> str | None:
    """For whose resource a service acts; other callers do not have the key."""
    return ctx.account if ctx.principal.kind is PrincipalKind.SERVICE else None


_TYPES = {
    PrincipalKind.ROOT: "Account",
    PrincipalKind.USER: "User",
    PrincipalKind.ASSUMED_ROLE: "AssumedRole",
    PrincipalKind.FEDERATED_USER: "FederatedUser",
    PrincipalKind.SERVICE: "Service",
    PrincipalKind.ANONYMOUS: "Anonymous",
}

_GLOBAL: Mapping[str, Callable[[Context], str | None]] = {
    "aws:username": _username,
    "aws:userid": lambda ctx: ctx.principal.user_id,
    "aws:principalarn": _principal_arn,
    "aws:principalaccount": lambda ctx: ctx.principal.account or None,
    "aws:principaltype": lambda ctx: _TYPES[ctx.principal.kind],
    "aws:principalisawsservice": lambda ctx: str(ctx.principal.kind is PrincipalKind.SERVICE).lower(),
    "aws:sourceaccount": _source_account,
    "aws:sourceip": lambda ctx: None if ctx.via else ctx.source_ip,
    "aws:securetransport": lambda ctx: str(ctx.secure).lower(),
    "aws:currenttime": lambda ctx: ctx.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "aws:epochtime": lambda ctx: str(int(ctx.now.timestamp())),
    "aws:useragent": lambda ctx: ctx.user_agent or None,
    "aws:requestedregion": lambda ctx: ctx.region or None,
    "aws:multifactorauthpresent": _multi_factor,
    "aws:viaawsservice": lambda ctx: str(bool(ctx.via)).lower(),
    "aws:calledvia": lambda ctx: ctx.via or None,
    "aws:calledviafirst": lambda ctx: ctx.via or None,
    "aws:calledvialast": lambda ctx: ctx.via or None,
}
