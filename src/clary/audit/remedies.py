"""The smallest statements that would have let a refused call pass, and where they belong."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clary.audit.evidence import Document, Element, Evidence
from clary.audit.misses import HINTS
from clary.auth import conditions
from clary.auth.decision import Decision, PolicyKind
from clary.auth.policy import Source
from clary.auth.principals import Match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.store.audit import Event

MOST = 6
"""Identity-based policy, boundary, session policy, resource, and a Deny or two."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to change."""

    where: str
    """The policy that is to be changed."""
    statement: Element | None
    """What to add to it; None where something must go instead."""
    advice: str = ""
    command: str = ""
    """A command of the AWS CLI that does it."""


def of(seen: Evidence, event: Event) -> tuple[Remedy, ...]:
    """All that must change until the policies, as they are now, would allow the call."""
    found: list[Remedy] = []
    added: list[Document] = []
    while len(found) < MOST and not (decision := seen.decide(*added)).allowed:
        if decision.explicit:
            gone = list(_denying(seen, decision))
            found.append(_without_deny(seen, decision, gone))
            if not gone:
                break
            seen = replace(seen, documents=tuple(_shortened(each, gone) for each in seen.documents))
            continue
        statement = smallest(seen, decision.kind, event)
        found.append(_with_statement(seen, decision.kind, event, statement))
        added.append(Document(decision.kind, Source("none", "remedy"), document(statement)))
    return tuple(found)


def smallest(seen: Evidence, kind: PolicyKind, event: Event) -> Element:
    """The statement that allows what was asked, and no more."""
    question = seen.question
    statement: Element = {"Effect": "Allow"}
    if kind in (PolicyKind.RESOURCE, PolicyKind.TRUST):
        statement["Principal"] = _named(event)
    statement["Action"] = question.action
    if kind is not PolicyKind.TRUST:
        statement["Resource"] = question.resource
    passed = question.lookup("iam:passedtoservice")
    if question.action == "iam:PassRole" and passed:
        statement["Condition"] = {"StringEquals": {"iam:PassedToService": passed[0]}}
    return statement


def document(statement: Element) -> str:
    """A policy with one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _named(event: Event) -> Any:
    who = event.who
    if who.kind == "anonymous":
        return "*"
    return {"Service": who.name} if who.kind == "service" else {"AWS": who.entity}


def _with_statement(seen: Evidence, kind: PolicyKind, event: Event, statement: Element) -> Remedy:
    resource = seen.question.resource
    match kind:
        case PolicyKind.IDENTITY:
            return _identity(event, statement)
        case PolicyKind.BOUNDARY:
            boundary = next(seen.of(PolicyKind.BOUNDARY)).source
            advice = "A boundary limits on purpose: ask who set it before you widen it."
            if boundary.kind == "aws-managed":
                advice = "AWS's own policies cannot be changed: set another boundary."
            return Remedy(f"the permissions boundary {boundary.arn}", statement, advice)
        case PolicyKind.SESSION:
            advice = "Pass it with AssumeRole or GetFederationToken, or pass no policy, for all that the role may do."
            return Remedy("the policy with which the session is started", statement, advice)
        case PolicyKind.TRUST:
            return Remedy(f"the trust policy of role {resource.rpartition('/')[2]}", statement)
    return Remedy(_resource_policy(resource), statement)


def _resource_policy(resource: str) -> str:
    if resource.startswith("arn:aws:s3:::"):
        return f"the bucket policy of {resource.removeprefix('arn:aws:s3:::').partition('/')[0]}"
    return f"the policy of {resource}"


def _identity(event: Event, statement: Element) -> Remedy:
    who = event.who
    kind = "role" if who.role else "user"
    name = f"allow-{str(statement['Action']).partition(':')[2]}"
    words = ["aws", "iam", f"put-{kind}-policy", f"--{kind}-name", who.name, "--policy-name", name]
    command = shlex.join([*words, "--policy-document", document(statement)])
    return Remedy(f"an identity-based policy of {kind} {who.name}", statement, _wider(statement), command)


def _wider(statement: Element) -> str:
    resource = str(statement["Resource"])
    if resource.startswith("arn:aws:s3:::") and "/" in resource:
        return f"For all objects of the bucket, write {resource.partition('/')[0]}/* as the Resource."
    return ""


def _without_deny(seen: Evidence, decision: Decision, denying: list[tuple[Document, int]]) -> Remedy:
    """What to say of a statement that denies: an Allow is of no use."""
    if not denying:
        return Remedy(f"the {decision.kind.value}", None, "Remove or narrow the statement that denies.")
    holder, index = denying[0]
    element = holder.elements()[index]
    met = "; ".join(_met(seen, element))
    advice = f"narrow or remove statement {index + 1}; no Allow outweighs it."
    if met:
        advice = f"statement {index + 1} holds because {met}. Change that in the request, or narrow the statement."
    name = f" {holder.source.name}" if holder.source.kind != "resource" else ""
    return Remedy(f"the {decision.kind.value}{name}", None, advice)


def _met(seen: Evidence, element: Element) -> Iterator[str]:
    for operator, keys in (element.get("Condition") or {}).items():
        for key, values in keys.items():
            (holds,) = conditions.compile_block({operator: {key: values}})
            had = seen.question.lookup(key.lower())
            if holds(seen.question.lookup):
                yield f"its condition {operator} {key} = {json.dumps(values)} is met: {_told(had, key)}"


def _told(values: tuple[str, ...] | None, key: str) -> str:
    had = "the request did not have that key" if values is None else f"the request had {', '.join(values)}"
    hint = HINTS.get(key.lower())
    return f"{had} ({hint})" if hint else had


def _denying(seen: Evidence, decision: Decision) -> Iterator[tuple[Document, int]]:
    """The statements of the deciding kind that deny the request, as document and place."""
    question = seen.question
    for each in seen.of(decision.kind):
        for index, element in enumerate(each.elements()):
            statement = each.alone(element) if element.get("Effect") == "Deny" else None
            if (
                statement is not None
                and statement.acts(question.action.lower())
                and question.names_caller(statement) is not Match.NONE
                and statement.holds(question.resource, question.lookup)
            ):
                yield each, index


def _shortened(holder: Document, gone: list[tuple[Document, int]]) -> Document:
    places = {index for each, index in gone if each is holder}
    if not places:
        return holder
    kept = [element for index, element in enumerate(holder.elements()) if index not in places]
    return replace(holder, text=json.dumps({**json.loads(holder.text), "Statement": kept}))
