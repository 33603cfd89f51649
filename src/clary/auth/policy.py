"""Policy documents: parsed once, asked often.

Source: "IAM JSON policy elements reference", IAM user guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from clary.auth import conditions
from clary.auth.patterns import Lookup, Matcher, Values, matcher, resource_glob, without_variables
from clary.auth.principals import Who, who, who_else

if TYPE_CHECKING:
    from clary.auth.conditions import Condition

_MAX_REMEMBERED = 1000
_WITH_VARIABLES = "2012-10-17"


class InvalidPolicy(ValueError):
    """The document is no policy; the text is AWS's."""


class Source(NamedTuple):
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


@dataclass(slots=True)
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
    conditions: tuple[Condition, ...]
    names: Who | None
    """How it names the caller; None in policies without principals."""
    excepting: bool = False
    """It names callers by NotPrincipal."""

    def holds(self, resource: str, lookup: Lookup) -> bool:
        """Whether it is about the resource and its conditions are met."""
        if not self.covers(resource, lookup):
            return False
        for condition in self.conditions:  # noqa: SIM110  # asked for every call: a generator would double its cost
            if not condition(lookup):
                return False
        return True


_allows = attrgetter("allow")


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
            found = tuple(sorted([each for each in self.statements if each.acts(lower)], key=_allows))
            self._by_action[action] = found
        return found


def parse(text: str, source: Source = UNNAMED) -> Policy:
    """The compiled policy; `source` is told in explanations.

    Raises:
        InvalidPolicy: it is no policy document.
    """
    try:
        document = orjson.loads(text)
    except ValueError as error:
        raise InvalidPolicy("Syntax errors in policy.") from error
    if not isinstance(document, dict) or "Statement" not in document:
        raise InvalidPolicy("Syntax errors in policy.")
    variables = document.get("Version") == _WITH_VARIABLES
    elements = as_list(document["Statement"])
    return Policy([_statement(each, source, index, variables=variables) for index, each in enumerate(elements)])


def union(policies: Iterable[Policy]) -> Policy:
    """Several policies as one."""
    return Policy(statement for policy in policies for statement in policy.statements)


def as_list(value: Any) -> list[Any]:
    """Policy elements may be one value or a list of them."""
    return value if isinstance(value, list) else [value]


def _statement(element: object, source: Source, index: int, *, variables: bool) -> Statement:
    if not isinstance(element, Mapping):
        raise InvalidPolicy("Syntax errors in policy.")
    effect = element.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise InvalidPolicy("Syntax errors in policy.")
    condition = element.get("Condition")
    try:
        block = conditions.compile_block(condition, variables=variables) if condition is not None else ()
    except conditions.InvalidCondition as error:
        raise InvalidPolicy(str(error)) from error
    allow = effect == "Allow"
    return Statement(
        allow,
        str(element.get("Sid", "")),
        source,
        index,
        _actions(element),
        _resources(element, variables=variables),
        block,
        _principals(element, allow=allow),
        "NotPrincipal" in element,
    )


def _actions(element: Mapping[str, Any]) -> Callable[[str], bool]:
    member = "NotAction" if "NotAction" in element else "Action"
    fits = matcher([text.lower() for text in _texts(element, member)])
    if member == "NotAction":
        return lambda action: not fits(action, _no_keys)
    return lambda action: fits(action, _no_keys)


def _resources(element: Mapping[str, Any], *, variables: bool) -> Matcher:
    member = "NotResource" if "NotResource" in element else "Resource"
    # Trust policies have no Resource: they are about the role to which they are attached.
    texts = _texts(element, member) if member in element else ["*"]
    fits = matcher(texts if variables else map(without_variables, texts), resource_glob)
    if member == "NotResource":
        return lambda resource, lookup: not fits(resource, lookup)
    return fits


def _texts(element: Mapping[str, Any], member: str) -> list[str]:
    values = element.get(member, [])
    if isinstance(values, str):
        return [values]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidPolicy("Syntax errors in policy.")
    return values


def _principals(element: Mapping[str, Any], *, allow: bool) -> Who | None:
    member = "NotPrincipal" if "NotPrincipal" in element else "Principal"
    if member not in element:
        return None
    value = {"AWS": ["*"]} if element[member] == "*" else element[member]
    if not isinstance(value, Mapping):
        raise InvalidPolicy("Invalid principal in policy.")
    named = {kind: frozenset(map(str, as_list(names))) for kind, names in value.items()}
    return who_else(named, allow=allow) if member == "NotPrincipal" else who(named)


def _no_keys(_key: str) -> Values | None:
    return None
