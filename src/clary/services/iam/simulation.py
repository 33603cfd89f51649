"""What policies would decide about actions and resources, told as the policy simulator tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clary.arn import split
from clary.auth import policy
from clary.auth.decision import Decision, Grants, Question, decide, matching
from clary.services.iam import positions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.auth.patterns import Values
    from clary.auth.policy import Policy, Source, Statement
    from clary.context import Principal
    from clary.services.service import Document

Attached = tuple["Source", str]
"""A policy: where it comes from, and its document."""

_SEVERITY = ("allowed", "implicitDeny", "explicitDeny")


@dataclass
class _Keys:
    """Condition keys of a simulation; remembers the ones that were missed."""

    known: Mapping[str, Values]
    missed: set[str] = field(default_factory=set)

    def __call__(self, key: str) -> Values | None:
        if key not in self.known:
            self.missed.add(key)
        return self.known.get(key)


class Simulation:
    """Decides with the given policies, as the authorizer does with stored ones.

    Attributes:
        caller: who would call, and the ARN and unique id behind it where it is a session.
        owner: the account of resources whose ARNs name none.
        keys: the condition keys of the calls, in lower case.
    """

    def __init__(
        self,
        caller: tuple[Principal, tuple[str, ...]],
        owner: str,
        keys: Mapping[str, Values],
        identity: Sequence[Attached],
        boundary: Sequence[Attached],
        attached: Sequence[Attached],
    ) -> None:
        self._principal, self._behind = caller
        self._owner = owner
        self._keys = keys
        self._documents = dict((*identity, *boundary, *attached))
        self._identity = _union(identity)
        self._boundary = _union(boundary) if boundary else None
        self._attached = _union(attached) if attached else None

    def results(self, action: str, resources: Sequence[str]) -> Document:
        """The EvaluationResult of an action on resources, `*` alone or ARNs."""
        told = [self._result(action, resource) for resource in resources]
        worst = max(told, key=lambda each: _SEVERITY.index(each["EvalDecision"]))
        result: Document = {
            **worst,
            "EvalActionName": action,
            "EvalResourceName": resources[0] if len(resources) == 1 else "*",
            "MatchedStatements": _distinct([each for one in told for each in one["MatchedStatements"]]),
            "MissingContextValues": sorted({key for one in told for key in one["MissingContextValues"]}),
        }
        if list(resources) == ["*"]:
            return result
        of_each = [
            {**one, "EvalResourceName": resource, "EvalResourceDecision": one["EvalDecision"]}
            for resource, one in zip(resources, told, strict=True)
        ]
        return {"EvalDecisionDetails": {}, **result, "ResourceSpecificResults": [_without_decision(e) for e in of_each]}

    def _result(self, action: str, resource: str) -> Document:
        keys = _Keys(self._keys)
        owner = _account_of(resource) or self._owner
        question = Question(self._principal, action, resource, keys, owner, behind=self._behind)
        decision = decide(question, Grants(self._identity, self._boundary), self._attached)
        self._ask_all(question)
        result: Document = {
            "EvalDecision": _word(decision),
            "MatchedStatements": [self._told(each) for each in self._determining(question, decision)],
            "MissingContextValues": sorted(keys.missed),
        }
        if owner != self._principal.account:
            result["EvalDecisionDetails"] = self._sides(question)
        if self._boundary is not None:
            allowed = _allows(question, self._boundary)
            result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
        return result

    def _ask_all(self, question: Question) -> None:
        """Asks for every key that the policies want to know, so that those that are missed are known."""
        for each in self._policies():
            for statement in each.about(question.action):
                if statement.covers(question.resource, question.lookup):
                    for condition in statement.conditions:
                        condition(question.lookup)

    def _determining(self, question: Question, decision: Decision) -> list[Statement]:
        if not decision.allowed and not decision.explicit:
            return []
        policies = [each for each in self._policies() if decision.explicit or each is not self._boundary]
        return [found for each in policies for found in matching(question, each, allow=decision.allowed)]

    def _sides(self, question: Question) -> dict[str, str]:
        """What the account of the caller, and that of the resource, decide for themselves."""
        sides = {"IAM Policy": self._identity, "Resource Policy": self._attached or policy.union(())}
        return {name: _side(question, side) for name, side in sides.items()}

    def _told(self, statement: Statement) -> Document:
        source = statement.source
        inline = source.kind in ("user", "group", "role")
        named = f"{source.kind}_{source.holder.rpartition('/')[2]}_{source.name}" if inline else source.name
        return {
            "SourcePolicyId": named,
            "SourcePolicyType": "Resource Policy" if source.kind == "resource" else "IAM Policy",
            **positions.of_statement(self._documents[source], statement.index),
        }

    def _policies(self) -> list[Policy]:
        return [each for each in (self._identity, self._attached, self._boundary) if each is not None]


def _union(policies: Sequence[Attached]) -> Policy:
    return policy.union([policy.parse(text, source) for source, text in policies])


def _account_of(resource: str) -> str:
    """The account that an ARN names, if it does."""
    try:
        account = split(resource).account
    except ValueError:
        return ""
    return account if account.isdigit() else ""


def _allows(question: Question, limit: Policy) -> bool:
    return _side(question, limit) == "allowed"


def _side(question: Question, side: Policy) -> str:
    if matching(question, side, allow=False):
        return "explicitDeny"
    return "allowed" if matching(question, side, allow=True) else "implicitDeny"


def _word(decision: Decision) -> str:
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if decision.explicit else "implicitDeny"


def _without_decision(result: Document) -> Document:
    return {name: value for name, value in result.items() if name != "EvalDecision"}


def _distinct(statements: list[Document]) -> list[Document]:
    return [each for number, each in enumerate(statements) if each not in statements[:number]]
