"""Simulations: what policies would allow, without doing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clary.arn import split
from clary.auth import entities, policy
from clary.auth.decision import Decision, Grants, PolicyKind, Question, decide
from clary.context import Principal, PrincipalKind
from clary.services.iam import pages
from clary.services.iam.directory import Directory
from clary.services.iam.errors import InvalidInput, NoSuchEntity
from clary.services.service import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.api import iam as api
    from clary.auth.patterns import Values
    from clary.auth.policy import Policy
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record


class Simulations:
    """Answers of the policy simulator."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @in_thread
    def simulate_principal_policy(self, ctx: Context, request: api.SimulatePrincipalPolicyRequest) -> Document:
        """What a user, group or role may do, with further policies if given."""
        source = self._source(request["PolicySourceArn"])
        records = self._directory.records
        granted = [policy.parse(text, origin) for origin, text in entities.granted(records, source)]
        limit = entities.boundary(records, source)
        limits = _parsed(request, "PermissionsBoundaryPolicyInputList") or (
            [policy.parse(limit[1], limit[0])] if limit else []
        )
        principal = _principal(source)
        return _simulate(request, principal, granted + _parsed(request, "PolicyInputList"), limits, ctx)

    @in_thread
    def simulate_custom_policy(self, ctx: Context, request: api.SimulateCustomPolicyRequest) -> Document:
        """What the given policies would allow."""
        caller = request.get("CallerArn", f"arn:aws:iam::{ctx.account}:user/simulated")
        principal = Principal(PrincipalKind.USER, ctx.account, caller, "", caller.rpartition("/")[2])
        limits = _parsed(request, "PermissionsBoundaryPolicyInputList")
        return _simulate(request, principal, _parsed(request, "PolicyInputList"), limits, ctx)

    def _source(self, source_arn: str) -> Record:
        try:
            resource = split(source_arn).resource
        except ValueError as error:
            raise InvalidInput(f"Invalid Entity Arn: {source_arn}") from error
        record = self._directory.records.by_arn(source_arn)
        kind, _, name = resource.partition("/")
        if kind not in (entities.USER, entities.GROUP, entities.ROLE):
            raise InvalidInput(f"Invalid Entity Arn: {source_arn} does not clearly define entity type and name.")
        if record is None or record.kind != kind:
            raise NoSuchEntity(f"The {kind} with name {name.rpartition('/')[2]} cannot be found.")
        return record


@dataclass
class _Keys:
    """Condition keys of a simulation; remembers the ones that were missed."""

    known: Mapping[str, Values]
    missed: set[str] = field(default_factory=set)

    def __call__(self, key: str) -> Values | None:
        if key not in self.known:
            self.missed.add(key)
        return self.known.get(key)


def _simulate(
    request: Members, principal: Principal, granted: list[Policy], limits: list[Policy], ctx: Context
) -> Document:
    grants = Grants(policy.union(granted), policy.union(limits) if limits else None)
    attached = _parse(request["ResourcePolicy"], "ResourcePolicy") if request.get("ResourcePolicy") else None
    owner = request.get("ResourceOwner", ctx.account).removeprefix("arn:aws:iam::").removesuffix(":root")
    results = []
    for action in request["ActionNames"]:
        for resource in request.get("ResourceArns") or ["*"]:
            keys = _Keys(_known(request, principal))
            decision = decide(Question(principal, action, resource, keys, owner), grants, attached)
            results.append(_result(action, resource, decision, keys, limited=bool(limits)))
    return pages.of_items("EvaluationResults", results, request, dict)


def _result(action: str, resource: str, decision: Decision, keys: _Keys, *, limited: bool) -> Document:
    result: Document = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": _word(decision),
        "MatchedStatements": [],
        "MissingContextValues": sorted(keys.missed),
    }
    if decision.statement is not None:
        kind = "Resource Policy" if decision.kind is PolicyKind.RESOURCE else "IAM Policy"
        result["MatchedStatements"] = [{"SourcePolicyId": decision.statement.source.name, "SourcePolicyType": kind}]
    if limited:
        allowed = decision.kind is not PolicyKind.BOUNDARY
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
    return result


def _word(decision: Decision) -> str:
    if decision.allowed:
        return "allowed"
    return "explicitDeny" if decision.explicit else "implicitDeny"


def _known(request: Members, principal: Principal) -> dict[str, Values]:
    known: dict[str, Values] = {
        "aws:principalarn": (principal.role_arn or principal.arn,),
        "aws:principalaccount": (principal.account,),
        "aws:userid": (principal.user_id,),
    }
    if principal.kind is PrincipalKind.USER:
        known["aws:username"] = (principal.name,)
    for entry in request.get("ContextEntries", ()):
        known[entry.get("ContextKeyName", "").lower()] = tuple(entry.get("ContextKeyValues", ()))
    return known


def _parsed(request: Members, member: str) -> list[Policy]:
    documents = request.get(member, ())
    return [_parse(text, f"{member}.{number}") for number, text in enumerate(documents, start=1)]


def _parse(text: str, name: str) -> Policy:
    try:
        return policy.parse(text, policy.Source("none", name))
    except policy.InvalidPolicy as error:
        raise InvalidInput(str(error)) from error


def _principal(source: Record) -> Principal:
    if source.kind == entities.ROLE:
        session = f"arn:aws:sts::{source.account}:assumed-role/{source.name}/simulated"
        return Principal(
            PrincipalKind.ASSUMED_ROLE, source.account, session, source.observed["RoleId"], source.name, source.arn
        )
    identifier = source.observed.get("UserId", "")
    return Principal(PrincipalKind.USER, source.account, source.arn, identifier, source.name)
