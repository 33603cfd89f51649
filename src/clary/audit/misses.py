"""Statements that nearly allowed a call: about its action, but for something."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.auth import conditions
from clary.auth.policy import Source, as_list
from clary.auth.principals import Match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clary.audit.evidence import Document, Element, Evidence
    from clary.auth.decision import PolicyKind
    from clary.auth.patterns import Lookup
    from clary.auth.policy import Statement

MOST = 5

HINTS: Mapping[str, str] = {
    "aws:multifactorauthpresent": "temporary credentials alone have it: sts get-session-token with an MFA code",
    "aws:multifactorauthage": "temporary credentials that were got with an MFA code have it",
    "aws:securetransport": "true for calls over https",
    "aws:sourceip": "the address from which the platform was called; calls that services make have none",
    "sts:externalid": "it is passed to AssumeRole as ExternalId",
    "iam:passedtoservice": "the service to which the role is handed",
    "aws:tagkeys": "the keys of the tags in the request",
}
"""What is good to know about a key."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A statement that allows the action, and what in it does not fit the request."""

    title: str
    """Which policy it is in."""
    number: int
    sid: str
    text: Element
    reasons: tuple[str, ...]


def misses(seen: Evidence, kind: PolicyKind, title: Callable[[Source], str]) -> tuple[Miss, ...]:
    """The statements of one kind of policy that allow the action, but not for this request; the nearest first."""
    found = [
        Miss(title(document.source), number, str(element.get("Sid", "")), element, reasons)
        for document in seen.of(kind)
        for number, element in enumerate(document.elements(), start=1)
        if (reasons := tuple(_reasons(seen, document, element)))
    ]
    return tuple(sorted(found, key=lambda miss: len(miss.reasons))[:MOST])


def _reasons(seen: Evidence, document: Document, element: Element) -> Iterator[str]:
    """What keeps a statement from allowing the request; nothing when it is not about the action at all."""
    question = seen.question
    statement = document.alone(element)
    if statement is None or not statement.allow or not statement.acts(question.action.lower()):
        return
    if question.names_caller(statement) is Match.NONE:
        yield f"its Principal {_short(element.get('Principal'))} does not name {question.principal.arn}"
    if not statement.covers(question.resource, question.lookup):
        yield _not_covered(statement, element, question.resource, question.lookup)
    for operator, keys in (element.get("Condition") or {}).items():
        for key, values in keys.items():
            (holds,) = conditions.compile_block({operator: {key: values}})
            if not holds(question.lookup):
                yield f"its condition {operator} {key} = {_short(values)} is not met: {_had(question.lookup, key)}"


def _not_covered(statement: Statement, element: Element, resource: str, lookup: Lookup) -> str:
    if "NotResource" in element:
        return f"its NotResource {_short(element['NotResource'])} excludes {resource}"
    text = f"its Resource {_short(element.get('Resource'))} does not cover {resource}"
    if resource == "*":
        return f"{text}: this action is about no single resource, only * covers it"
    if resource.startswith("arn:aws:s3:::"):
        bucket, _, key = resource.partition("/")
        if not key and statement.covers(f"{bucket}/x", lookup):
            return f"{text}: this action is about the bucket itself, whose ARN has no /*"
        if key and statement.covers(bucket, lookup):
            return f"{text}: objects have ARNs of their own, {bucket}/*"
    return text


def _had(lookup: Lookup, key: str) -> str:
    values = lookup(key.lower())
    told = (
        f"the request had {_short(list(values))}" if values is not None else f"the request did not have the key {key}"
    )
    hint = HINTS.get(key.lower())
    return f"{told} ({hint})" if hint else told


def _short(value: Any) -> str:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in as_list(value)]
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
