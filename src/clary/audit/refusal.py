"""What the evaluation of a refused check saw beside the stored policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.auth.keys import RequestKeys

if TYPE_CHECKING:
    from clary.auth.authorize import Ruling
    from clary.context import Context

MOST_CHARACTERS = 20_480
"""The largest bucket policy."""

_GLOBAL = (
    "aws:calledvia", "aws:currenttime", "aws:epochtime", "aws:multifactorauthage", "aws:multifactorauthpresent",
    "aws:principalaccount", "aws:principalarn", "aws:principalisawsservice", "aws:principaltype", "aws:referer",
    "aws:requestedregion", "aws:resourceaccount", "aws:securetransport", "aws:sourceaccount", "aws:sourcearn",
    "aws:sourceidentity", "aws:sourceip", "aws:tokenissuetime", "aws:useragent", "aws:userid", "aws:username",
    "aws:viaawsservice",
)  # fmt: skip


def refusal(ctx: Context, ruling: Ruling) -> dict[str, Any]:
    """The condition keys that the request had, and the policies that came with it or hang on the resource."""
    check = ruling.check
    lookup = RequestKeys(ctx, check.keys, {})
    keys = {key: lookup(key) for key in _GLOBAL}
    keys.update({name: _values(value) for name, value in check.keys.items()})
    return {
        "keys": {name: list(values) for name, values in keys.items() if values is not None},
        "tags": dict(ctx.principal.session_tags),
        "resource_policies": [text[:MOST_CHARACTERS] for text in check.resource_policies],
        "session_policies": list(ctx.principal.session_policies),
        "owner": check.owner or ctx.account,
        "trust": check.trust,
    }


def _values(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
