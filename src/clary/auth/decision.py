"""May this principal do this: how policies of all kinds are weighed against each other.

Source: "Policy evaluation logic", IAM user guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from clary.auth.policy import Policy, Statement
from clary.auth.principals import Match
from clary.context import PrincipalKind

if TYPE_CHECKING:
    from clary.auth.patterns import Lookup
    from clary.context import Principal


class PolicyKind(Enum):
    """Where a policy hangs; the value is how AWS calls it when it denies."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    TRUST = "role trust policy"


class Decision(NamedTuple):
    """The outcome, and which policy brought it about.

    `statement` is None where a lacking Allow decided; then `kind` tells where it lacks.
    """

    allowed: bool
    kind: PolicyKind
    statement: Statement | None = None

    @property
    def explicit(self) -> bool:
        """Whether a statement denied it."""
        return not self.allowed and self.statement is not None


@dataclass(frozen=True, slots=True)
class Grants:
    """The policies that hang on a principal."""

    identity: Policy
    boundary: Policy | None = None
    session: Policy | None = None


Grant = tuple[Match, Statement]
"""A statement of the resource's policy that allows, and how it names the caller."""


class Question(NamedTuple):
    """One request as policies see it."""

    principal: Principal
    action: str
    resource: str
    lookup: Lookup
    owner: str
    """The account that owns the resource."""
    trust: bool = False
    """The resource's policy must allow it by itself."""
    behind: tuple[str, ...] = ()
    """ARN and unique id of the role or user whose session the principal is."""

    def names_caller(self, statement: Statement) -> Match:
        """How a statement names the principal; one without principals is about whoever holds the policy."""
        return statement.names(self.principal, self.behind) if statement.names else Match.DIRECT


_ROOT_KEEPS = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))
"""What root of the bucket's account may do whatever the bucket policy says, so that nobody is locked out.

Source: "Bucket policies for Amazon S3", Amazon S3 user guide.
"""


def decide(question: Question, grants: Grants, resource: Policy | None) -> Decision:
    """Whether it is allowed; an explicit deny of whatever kind wins."""
    if resource is not None and _beyond(question):
        resource = None
    denial = _denial(question, grants, resource)
    if denial is not None:
        return denial
    principal = question.principal
    granted = _resource_grant(question, resource) if resource is not None else None
    if principal.kind is PrincipalKind.ANONYMOUS:
        return _decision(granted[1] if granted else None, _kind_of_resource(question))
    if granted is None:
        if question.trust or question.owner != principal.account:
            return Decision(False, _kind_of_resource(question))
    elif question.owner == principal.account and granted[0] is not Match.ACCOUNT:
        # Within the account a resource policy that names the caller suffices; limits on the caller may still hold.
        decision = Decision(True, _kind_of_resource(question), granted[1])
        return decision if granted[0] is Match.DIRECT else _within_limits(question, grants, decision)
    decision = _decision(_first_allow(question, grants.identity), PolicyKind.IDENTITY)
    return _within_limits(question, grants, decision) if decision.allowed else decision


def matching(question: Question, policy: Policy, *, allow: bool) -> list[Statement]:
    """The statements of a policy that allow, or deny, what is asked."""
    return [
        statement
        for statement in policy.about(question.action)
        if statement.allow is allow
        and question.names_caller(statement) is not Match.NONE
        and statement.holds(question.resource, question.lookup)
    ]


def _beyond(question: Question) -> bool:
    """Whether the resource's policy has no say."""
    principal = question.principal
    is_root = principal.kind is PrincipalKind.ROOT and principal.account == question.owner
    return is_root and question.action in _ROOT_KEEPS


def _denial(question: Question, grants: Grants, resource: Policy | None) -> Decision | None:
    for policy, kind in (
        (grants.identity, PolicyKind.IDENTITY),
        (resource, PolicyKind.RESOURCE),
        (grants.boundary, PolicyKind.BOUNDARY),
        (grants.session, PolicyKind.SESSION),
    ):
        for statement in policy.about(question.action) if policy is not None else ():
            if statement.allow:  # those that deny come first
                break
            if _denies(statement, question, grants):
                return Decision(False, _kind_of_resource(question) if policy is resource else kind, statement)
    return None


def _denies(statement: Statement, question: Question, grants: Grants) -> bool:
    if not statement.holds(question.resource, question.lookup):
        return False
    # A Deny with NotPrincipal spares nobody who has a permissions boundary: AWS's page on NotPrincipal says so.
    if statement.excepting and grants.boundary is not None:
        return True
    return question.names_caller(statement) is not Match.NONE


def _within_limits(question: Question, grants: Grants, decision: Decision) -> Decision:
    """The decision, unless a boundary or session policy does not allow as much."""
    for policy, kind in ((grants.boundary, PolicyKind.BOUNDARY), (grants.session, PolicyKind.SESSION)):
        if policy is not None and _first_allow(question, policy) is None:
            return Decision(False, kind)
    return decision


def _first_allow(question: Question, policy: Policy) -> Statement | None:
    for statement in policy.about(question.action):
        if statement.allow and statement.holds(question.resource, question.lookup):
            return statement
    return None


def _resource_grant(question: Question, policy: Policy) -> Grant | None:
    """The statement of the resource's policy that names the caller most directly."""
    best: Grant | None = None
    for statement in policy.about(question.action):
        if not statement.allow or statement.names is None:  # one that names nobody grants nothing
            continue
        match = statement.names(question.principal, question.behind)
        if match is Match.NONE or not statement.holds(question.resource, question.lookup):
            continue
        if match is Match.DIRECT:
            return match, statement
        if best is None or match is Match.LIMITED:
            best = match, statement
    return best


def _kind_of_resource(question: Question) -> PolicyKind:
    return PolicyKind.TRUST if question.trust else PolicyKind.RESOURCE


def _decision(statement: Statement | None, kind: PolicyKind) -> Decision:
    return Decision(statement is not None, kind, statement)
