"""What the evaluation of a refused check saw beside the stored policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.auth.keys import RequestKeys, principal_keys

if TYPE_CHECKING:
    from clary.auth.authorize import Authorizer
    from clary.auth.check import Check
    from clary.context import Context

MOST_CHARACTERS = 20_480
"""The largest bucket policy."""

_REQUEST = (
    "aws:calledvia", "aws:currenttime", "aws:epochtime", "aws:referer", "aws:requestedregion", "aws:resourceaccount",
    "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "aws:sourceip", "aws:tokenissuetime", "aws:useragent",
    "aws:viaawsservice",
)  # fmt: skip
"""Keys for which somebody may ask later, when the policies have changed."""


def refusal(ctx: Context, check: Check, authorizer: Authorizer) -> dict[str, Any]:
    """The condition keys that the request had, and the policies that came with it or hang on the resource."""
    lookup = RequestKeys(ctx, check, {})
    keys: dict[str, Any] = {key: lookup(key) for key in _REQUEST}
    keys |= {**principal_keys(ctx), **ctx.principal.session_keys, **ctx.signed, **check.keys}
    keys |= authorizer.asked(ctx, check)
    return {
        "keys": {name.lower(): _values(value) for name, value in keys.items() if value is not None},
        "tags": dict(ctx.principal.session_tags),
        "resource_policies": [text[:MOST_CHARACTERS] for text in check.resource_policies if text],
        "session_policies": list(ctx.principal.session_policies),
        "owner": check.owner or ctx.account,
        "trust": check.trust,
    }


def _values(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
