"""Allow a call or refuse it, with AWS's words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from clary.auth import entities, policy
from clary.auth.check import Check
from clary.auth.decision import Decision, Grants, PolicyKind, Question, decide
from clary.auth.keys import RequestKeys
from clary.auth.policy import Source
from clary.auth.sentences import sentence
from clary.context import Context, Principal, PrincipalKind
from clary.errors import AccessDenied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clary.auth.patterns import Values
    from clary.auth.policy import Policy
    from clary.clock import Clock
    from clary.store.records import Record, Records

_MAX_CACHED = 10_000
_EVERYTHING = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'


@dataclass(frozen=True, slots=True)
class _Holder:
    """What is known of a principal between two writes to IAM."""

    grants: Grants
    tags: Mapping[str, str] = field(default_factory=dict)
    behind: tuple[str, ...] = ()


class Ruling(NamedTuple):
    """What was decided about one check of a call, and why."""

    check: Check
    decision: Decision


class Refused(AccessDenied):
    """The policies do not allow a call; `rulings` tells what was decided up to the check that failed, the last one."""

    code = "AccessDenied"

    def __init__(self, message: str, rulings: Sequence[Ruling]) -> None:
        super().__init__(message)
        self.rulings = rulings


class Authorizer:
    """Decides by the stored policies; keeps them compiled until a write to IAM changes them."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._loaded: tuple[int, dict[tuple[str, str, str, tuple[str, ...]], _Holder]] = -1, {}
        self._documents: dict[tuple[Source, str], Policy] = {}
        self._unions: dict[tuple[str, ...], Policy] = {}

    def authorize(self, ctx: Context, checks: Sequence[Check]) -> list[Ruling]:
        """Accepts a call whose every check is allowed, and tells why each is.

        Raises:
            Refused: one is not; the message is the one AWS gives.
        """
        rulings = []
        for check in checks:
            decision = self.decision(ctx, check)
            rulings.append(Ruling(check, decision))
            ctx.rulings.append(rulings[-1])
            if not decision.allowed:
                raise Refused(sentence(ctx.principal, check, decision), rulings)
        return rulings

    def decision(self, ctx: Context, check: Check) -> Decision:
        """Whether one check is allowed, and why."""
        principal = ctx.principal
        if check.anonymous or (principal.kind is PrincipalKind.SERVICE and not check.trust):
            return _ALLOWED
        holder = self._holder(principal)
        question = Question(
            principal,
            check.action,
            check.resource,
            RequestKeys(ctx, check, holder.tags),
            check.owner or ctx.account,
            check.trust,
            holder.behind,
        )
        attached = self._attached(check.resource_policies) if check.resource_policies else None
        return decide(question, holder.grants, attached)

    def asked(self, ctx: Context, check: Check) -> dict[str, Values]:
        """What the request has of the condition keys for which the policies ask about a check; for explanations."""
        holder = self._holder(ctx.principal)
        keys = RequestKeys(ctx, check, holder.tags)
        told: dict[str, Values] = {}

        def lookup(key: str) -> Values | None:
            values = keys(key)
            if values is not None:
                told[key] = values
            return values

        grants, attached = holder.grants, self._attached(check.resource_policies)
        for each in (grants.identity, grants.boundary, grants.session, attached):
            for statement in each.about(check.action) if each is not None else ():
                statement.covers(check.resource, lookup)
                for condition in statement.conditions:
                    condition(lookup)
        return told

    def trusts_service(self, role: Record, service: str, source_arn: str = "") -> bool:
        """Whether a role lets a service of AWS, e.g. `sagemaker.amazonaws.com`, take it on for a resource."""
        principal = Principal(PrincipalKind.SERVICE, role.account, service, service, service)
        ctx = Context("", role.account, "", principal, "sts", "AssumeRole", self._clock.now(), via=service)
        check = Check("sts:AssumeRole", role.arn, {"aws:SourceArn": source_arn} if source_arn else {})
        keys = RequestKeys(ctx, check, {})
        question = Question(principal, check.action, role.arn, keys, role.account, trust=True)
        return decide(question, _NO_GRANTS, self._compiled(role.spec["AssumeRolePolicyDocument"], _RESOURCE)).allowed

    def grants(self, entity: Record, session_policies: tuple[str, ...] = ()) -> Grants:
        """The compiled policies of a user or role."""
        limit = entities.boundary(self._records, entity)
        return Grants(
            policy.union(self._compiled(text, source) for source, text in entities.granted(self._records, entity)),
            self._compiled(limit[1], limit[0]) if limit else None,
            self._session(session_policies) if session_policies else None,
        )

    def _session(self, documents: Iterable[str]) -> Policy:
        return policy.union(self._compiled(text, _SESSION) for text in documents)

    def _holder(self, principal: Principal) -> _Holder:
        revision = self._records.revision(*entities.GRANTING)
        seen, holders = self._loaded
        if revision != seen or len(holders) > _MAX_CACHED:
            # A dictionary of its own: another thread may still be filling the one before with what it read by then.
            holders = {}
            self._loaded = revision, holders
        key = (principal.kind.value, principal.account, principal.name, principal.session_policies)
        holder = holders.get(key)
        if holder is None:
            holder = holders[key] = self._load(principal)
        return holder

    def _load(self, principal: Principal) -> _Holder:
        federated = principal.kind is PrincipalKind.FEDERATED_USER
        # Root federates without a name. A session of a federated user has nothing but what its policies leave.
        if principal.kind in (PrincipalKind.ROOT, PrincipalKind.SERVICE) or (federated and not principal.name):
            session = self._session(principal.session_policies) if federated else None
            return _Holder(Grants(self._compiled(_EVERYTHING, _ROOT), session=session))
        kind = _KINDS.get(principal.kind)
        entity = self._records.get(kind, principal.account, "", principal.name) if kind else None
        if entity is None:
            return _Holder(_NO_GRANTS)
        grants = self.grants(entity, principal.session_policies)
        if federated and grants.session is None:
            grants = replace(grants, session=_NO_GRANTS.identity)
        is_session = principal.kind is not PrincipalKind.USER
        return _Holder(grants, entity.tags, (entity.arn, entities.unique_id(entity)) if is_session else ())

    def _attached(self, documents: tuple[str, ...]) -> Policy:
        attached = self._unions.get(documents)
        if attached is None:
            if len(self._unions) >= _MAX_CACHED:
                self._unions.clear()
            policies = [self._compiled(text, _RESOURCE) for text in documents if text]
            attached = self._unions[documents] = policies[0] if len(policies) == 1 else policy.union(policies)
        return attached

    def _compiled(self, text: str, source: Source) -> Policy:
        compiled = self._documents.get((source, text))
        if compiled is None:
            if len(self._documents) >= _MAX_CACHED:
                self._documents.clear()
            compiled = self._documents[source, text] = policy.parse(text, source)
        return compiled


_KINDS = {
    PrincipalKind.USER: entities.USER,
    PrincipalKind.FEDERATED_USER: entities.USER,
    PrincipalKind.ASSUMED_ROLE: entities.ROLE,
}
_SESSION = Source("none", "session policy")
_ROOT = Source("none", "root user")
_RESOURCE = Source("resource", "resource-based policy")
_NO_GRANTS = Grants(policy.union(()))
_ALLOWED = Decision(True, PolicyKind.IDENTITY)
