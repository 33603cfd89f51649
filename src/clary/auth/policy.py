"""Policy documents: parsed once, asked often.

Source: "IAM JSON policy elements reference", IAM user guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from clary.auth import conditions
from clary.auth.patterns import Lookup, Matcher, Values, matcher
from clary.context import PrincipalKind

if TYPE_CHECKING:
    from clary.context import Principal

_MAX_REMEMBERED = 1000


class InvalidPolicy(ValueError):
    """The document is no policy; the text is AWS's."""


class Match(Enum):
    """How the Principal element of a statement names the caller."""

    NONE = "not at all"
    ACCOUNT = "by account, which leaves the decision to the account's own policies"
    LIMITED = "by the role of the session, or as anybody: limits on the caller still hold"
    DIRECT = "by the very user or session"


Who = Callable[["Principal"], Match]


@dataclass(frozen=True, slots=True)
class Source:
    """Where statements come from.

    `kind` is the type of the policy as the policy simulator tells it: `user`, `group` or `role` for inline policies,
    `aws-managed`, `user-managed`, `resource`, or `none` for one that came with the call. `arn` is the ARN of a managed
    policy; `holder` the ARN of the user, group or role to which the policy is attached.
    """

    kind: str = "none"
    name: str = ""
    arn: str = ""
    holder: str = ""


UNNAMED = Source()


@dataclass(frozen=True, slots=True)
class Statement:
    """One compiled statement of a policy: the one at `index`, counted from zero."""

    allow: bool
    sid: str
    source: Source
    index: int
    acts: Callable[[str], bool]
    """Whether the statement is about an action, given in lower case."""
    covers: Matcher
    """Whether it is about a resource."""
    conditions: tuple[conditions.Condition, ...]
    names: Who | None
    """How it names the caller; None in policies without principals."""

    def holds(self, resource: str, lookup: Lookup) -> bool:
        """Whether it is about the resource and its conditions are met."""
        return self.covers(resource, lookup) and all(condition(lookup) for condition in self.conditions)


class Policy:
    """Compiled statements, of one document or of several that belong together."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.statements = tuple(statements)
        self._by_action: dict[str, tuple[Statement, ...]] = {}

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements about an action, those that deny first."""
        found = self._by_action.get(action)
        if found is None:
            if len(self._by_action) >= _MAX_REMEMBERED:
                self._by_action.clear()
            lower = action.lower()
            found = tuple(sorted((each for each in self.statements if each.acts(lower)), key=lambda each: each.allow))
            self._by_action[action] = found
        return found


def parse(text: str, source: Source = UNNAMED) -> Policy:
    """The compiled policy; `source` is told in explanations.

    Raises:
        InvalidPolicy: it is no policy document.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidPolicy("Syntax errors in policy.") from error
    if not isinstance(document, dict) or "Statement" not in document:
        raise InvalidPolicy("Syntax errors in policy.")
    return Policy(_statement(each, source, index) for index, each in enumerate(as_list(document["Statement"])))


def union(policies: Iterable[Policy]) -> Policy:
    """Several policies as one."""
    return Policy(statement for policy in policies for statement in policy.statements)


def as_list(value: Any) -> list[Any]:
    """Policy elements may be one value or a list of them."""
    return value if isinstance(value, list) else [value]


def _statement(element: object, source: Source, index: int) -> Statement:
    if not isinstance(element, Mapping):
        raise InvalidPolicy("Syntax errors in policy.")
    if element.get("Effect") not in ("Allow", "Deny"):
        raise InvalidPolicy("Syntax errors in policy.")
    try:
        block = conditions.compile_block(element.get("Condition", {}))
    except conditions.InvalidCondition as error:
        raise InvalidPolicy(str(error)) from error
    return Statement(
        allow=element["Effect"] == "Allow",
        sid=str(element.get("Sid", "")),
        source=source,
        index=index,
        acts=_actions(element),
        covers=_resources(element),
        conditions=block,
        names=_principals(element),
    )


def _actions(element: Mapping[str, Any]) -> Callable[[str], bool]:
    member = "NotAction" if "NotAction" in element else "Action"
    fits = matcher([text.lower() for text in _texts(element, member)])
    if member == "NotAction":
        return lambda action: not fits(action, _no_keys)
    return lambda action: fits(action, _no_keys)


def _resources(element: Mapping[str, Any]) -> Matcher:
    if "NotResource" in element:
        fits = matcher(_texts(element, "NotResource"))
        return lambda resource, lookup: not fits(resource, lookup)
    # Trust policies have no Resource: they are about the role to which they are attached.
    return matcher(_texts(element, "Resource") if "Resource" in element else ["*"])


def _texts(element: Mapping[str, Any], member: str) -> list[str]:
    values = as_list(element.get(member, []))
    if not all(isinstance(value, str) for value in values):
        raise InvalidPolicy("Syntax errors in policy.")
    return values


def _principals(element: Mapping[str, Any]) -> Who | None:
    if "NotPrincipal" in element:
        named = _who(element["NotPrincipal"])
        return lambda principal: Match.DIRECT if named(principal) is Match.NONE else Match.NONE
    return _who(element["Principal"]) if "Principal" in element else None


def _who(value: object) -> Who:
    groups = {"AWS": ["*"]} if value == "*" else value
    if not isinstance(groups, Mapping):
        raise InvalidPolicy("Invalid principal in policy.")
    names = frozenset(str(name) for name in as_list(groups.get("AWS", [])))
    services = frozenset(str(name) for name in as_list(groups.get("Service", [])))

    def match(principal: Principal) -> Match:
        # A user may bear the name of a service without being it.
        if principal.arn in names or (principal.kind is PrincipalKind.SERVICE and principal.name in services):
            return Match.DIRECT
        if "*" in names or (principal.role_arn and principal.role_arn in names):
            return Match.LIMITED
        return Match.ACCOUNT if _names_account(names, principal.account) else Match.NONE

    return match


def _names_account(names: frozenset[str], account: str) -> bool:
    return bool(account) and (account in names or f"arn:aws:iam::{account}:root" in names)


def _no_keys(_key: str) -> Values | None:
    return None
