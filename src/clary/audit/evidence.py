"""The policies that have a say about a recorded call, statement by statement, and the question they are asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.auth import entities, policy
from clary.auth.decision import Decision, Grants, PolicyKind, Question, decide
from clary.auth.policy import Source
from clary.context import Principal, PrincipalKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.auth.patterns import Lookup, Values
    from clary.auth.policy import Policy
    from clary.store.audit import Event, Who
    from clary.store.records import Record, Records

Element = dict[str, Any]
"""A statement as it is written."""

ENTITIES = {"user": entities.USER, "assumed-role": entities.ROLE, "federated-user": entities.USER}
"""Where the policies of a caller hang, by the kind of the caller."""


@dataclass(frozen=True, slots=True)
class Document:
    """A policy that has a say."""

    kind: PolicyKind
    source: Source
    text: str

    def elements(self) -> list[Element]:
        """Its statements as they are written."""
        try:
            return list(policy.as_list(json.loads(self.text)["Statement"]))
        except (ValueError, KeyError, TypeError):
            return []

    def compiled(self) -> Policy:
        """Its statements ready to be asked; none when it is no policy."""
        try:
            return policy.parse(self.text, self.source)
        except policy.InvalidPolicy:
            return policy.Policy(())

    def alone(self, element: Element) -> policy.Statement | None:
        """One of its statements, ready to be asked."""
        version = json.loads(self.text).get("Version")
        head = {"Version": version} if version else {}
        return next(iter(policy.parse(json.dumps({**head, "Statement": [element]}), self.source).statements), None)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One refused check with all that decides about it."""

    question: Question
    documents: tuple[Document, ...]
    limits: frozenset[PolicyKind]
    """The kinds of policy that limit the caller, even where they hold nothing."""

    def of(self, kind: PolicyKind) -> Iterator[Document]:
        """The documents of one kind."""
        return (document for document in self.documents if document.kind is kind)

    def decide(self, *more: Document) -> Decision:
        """What the policies say, with some more of them."""
        documents = (*self.documents, *more)

        def union(kind: PolicyKind) -> Policy:
            return policy.union(document.compiled() for document in documents if document.kind is kind)

        limits = [union(kind) if kind in self.limits else None for kind in (PolicyKind.BOUNDARY, PolicyKind.SESSION)]
        kind = PolicyKind.TRUST if self.question.trust else PolicyKind.RESOURCE
        grants = Grants(union(PolicyKind.IDENTITY), limits[0], limits[1])
        return decide(self.question, grants, union(kind))


def holder(records: Records, who: Who) -> Record | None:
    """The user or role whose policies count for a caller."""
    kind = ENTITIES.get(who.kind)
    return records.get(kind, who.account, "", who.name) if kind and who.name else None


def evidence(event: Event, check: Mapping[str, Any], records: Records) -> Evidence:
    """What there is to know about the check at which an event was refused, with the policies as they are now."""
    entity = holder(records, event.who)
    seen = event.refusal or {}
    documents = [Document(PolicyKind.IDENTITY, *each) for each in _granted(event.who, entity, records)]
    limits = set()
    limit = entities.boundary(records, entity) if entity else None
    if limit is not None:
        limits.add(PolicyKind.BOUNDARY)
        documents.append(Document(PolicyKind.BOUNDARY, *limit))
    if seen.get("session_policies") or event.who.kind == "federated-user":
        limits.add(PolicyKind.SESSION)
        documents += [
            Document(PolicyKind.SESSION, Source("none", "session policy"), text) for text in seen["session_policies"]
        ]
    kind = PolicyKind.TRUST if seen.get("trust") else PolicyKind.RESOURCE
    source = Source("resource", "trust policy" if seen.get("trust") else "resource-based policy")
    documents += [Document(kind, source, text) for text in seen.get("resource_policies", ())]
    question = Question(
        _principal(event.who), check["action"], check["resource"], _lookup(seen, entity),
        seen.get("owner") or event.account, bool(seen.get("trust")), _behind(event.who, entity),
    )  # fmt: skip
    return Evidence(question, tuple(documents), frozenset(limits))


def _granted(who: Who, entity: Record | None, records: Records) -> Iterator[tuple[Source, str]]:
    if who.kind in ("root", "service") or (who.kind == "federated-user" and entity is None):
        yield Source("none", "root user"), EVERYTHING
    elif entity is not None:
        yield from entities.granted(records, entity)


def _principal(who: Who) -> Principal:
    kind = PrincipalKind(who.kind) if who.kind != "unknown" else PrincipalKind.ANONYMOUS
    return Principal(kind, who.account, who.arn or "anonymous", who.id, who.name, who.role, who.key)


def _behind(who: Who, entity: Record | None) -> tuple[str, ...]:
    return (entity.arn, entities.unique_id(entity)) if entity is not None and who.kind != "user" else ()


def _lookup(seen: Mapping[str, Any], entity: Record | None) -> Lookup:
    tags: dict[str, str] = {**(entity.tags if entity else {}), **seen.get("tags", {})}
    keys: dict[str, Values] = {f"aws:principaltag/{name.lower()}": (value,) for name, value in tags.items()}
    keys |= {name: tuple(values) for name, values in seen.get("keys", {}).items()}
    return keys.get


EVERYTHING = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
