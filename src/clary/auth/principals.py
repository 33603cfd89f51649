"""Whom the Principal and NotPrincipal elements of a statement name.

Source: "IAM JSON policy elements: Principal" and "... NotPrincipal", IAM user guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from clary.auth.identifiers import canonical_user_id
from clary.context import PrincipalKind

if TYPE_CHECKING:
    from clary.context import Principal


class Match(Enum):
    """How a statement names the caller."""

    NONE = "not at all"
    ACCOUNT = "by account, which leaves the decision to the account's own policies"
    LIMITED = "by the role or user of the session, or as anybody: limits on the caller still hold"
    DIRECT = "by the very user or session"


Who = Callable[["Principal", tuple[str, ...]], Match]
"""How a statement names a principal, and those behind it: ARN and unique id of the role or user of a session."""

Named = Mapping[str, frozenset[str]]
"""The names that an element lists for each type of principal."""

_NOBODY: frozenset[str] = frozenset()
_PROVIDER = "aws:federatedprovider"


def who(named: Named) -> Who:
    """How a Principal element names a caller."""
    names, services = named.get("AWS", _NOBODY), named.get("Service", _NOBODY)
    providers, canonical = named.get("Federated", _NOBODY), named.get("CanonicalUser", _NOBODY)

    def match(principal: Principal, behind: tuple[str, ...]) -> Match:
        # A user may bear the name of a service without being it.
        is_service = principal.kind is PrincipalKind.SERVICE
        if principal.arn in names or principal.user_id in names or (is_service and principal.name in services):
            return Match.DIRECT
        if "*" in names or not names.isdisjoint(behind):
            return Match.LIMITED
        if providers and principal.session_keys.get(_PROVIDER) in providers:
            return Match.LIMITED
        if is_service or not principal.account:
            return Match.NONE
        by_account = not names.isdisjoint(_account(principal)) or canonical_user_id(principal.account) in canonical
        return Match.ACCOUNT if by_account else Match.NONE

    return match


def who_else(named: Named, *, allow: bool) -> Who:
    """How a NotPrincipal element names a caller: everybody save those whom it lists.

    To be spared by a Deny, a caller must be listed with all that it rests on: the account, then the role, then the
    session.
    """
    listed = who(named)
    names = named.get("AWS", _NOBODY)

    def spared(principal: Principal, behind: tuple[str, ...]) -> bool:
        match = listed(principal, behind)
        if allow or principal.kind is PrincipalKind.SERVICE or "*" in names:
            return match is not Match.NONE
        if principal.kind is PrincipalKind.ROOT:
            return match is Match.DIRECT or match is Match.ACCOUNT
        wholly = not behind or not names.isdisjoint(behind)
        return match is Match.DIRECT and wholly and not names.isdisjoint(_account(principal))

    return lambda principal, behind: Match.NONE if spared(principal, behind) else Match.LIMITED


def _account(principal: Principal) -> tuple[str, ...]:
    return principal.account, f"arn:aws:iam::{principal.account}:root"
