"""What a call needs to be allowed to do."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.auth.patterns import Lookup


class Check(NamedTuple):
    """One permission that a call needs: `action` on `resource`.

    Attributes:
        action: as policies write it, e.g. `s3:GetObject`.
        resource: an ARN, or `*` where AWS knows no resource for the action.
        keys: further condition keys, e.g. `{"s3:prefix": "a/"}`; a list value is a multi-valued key.
        resource_policies: policy documents attached to the resource (bucket policies), as JSON text.
        owner: the account that owns the resource; empty for the account of the call.
        anonymous: allowed to everybody (STS calls that need no permission).
        trust: the resource policies must allow it even within the account (trust policies of roles).
        late: tells further keys, named in lower case, that take a look into the store; asked only by policies.
    """

    action: str
    resource: str = "*"
    keys: Mapping[str, str | Sequence[str]] = MappingProxyType({})
    resource_policies: tuple[str, ...] = ()
    owner: str = ""
    anonymous: bool = False
    trust: bool = False
    late: Lookup | None = None
