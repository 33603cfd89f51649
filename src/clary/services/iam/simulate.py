"""Simulations: what policies would allow, without doing it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.arn import split
from clary.auth import entities, policy
from clary.auth.keys import principal_keys
from clary.auth.policy import Source
from clary.context import Principal, PrincipalKind
from clary.errors import NotSupported
from clary.services.iam import pages
from clary.services.iam.directory import Directory
from clary.services.iam.errors import InvalidInput, NoSuchEntity
from clary.services.iam.simulation import Simulation
from clary.services.service import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clary.api import iam as api
    from clary.auth.patterns import Values
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.iam.simulation import Attached
    from clary.services.service import Document, Members
    from clary.store.records import Record

Caller = tuple[Principal, tuple[str, ...]]

_RESOURCE_POLICY = Source("resource", "ResourcePolicy")


class Simulations:
    """Answers of the policy simulator."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @in_thread
    def simulate_principal_policy(self, ctx: Context, request: api.SimulatePrincipalPolicyRequest) -> Document:
        """What a user, group or role may do, with further policies if given."""
        source = self._entity(request["PolicySourceArn"])
        records = self._directory.records
        granted = [*entities.granted(records, source), *_given(request, "PolicyInputList")]
        limit = entities.boundary(records, source)
        limits = _given(request, "PermissionsBoundaryPolicyInputList") or ([limit] if limit else [])
        caller = self._caller(request["CallerArn"]) if request.get("CallerArn") else _principal(source)
        if source.kind == entities.GROUP and request.get("ResourcePolicy") and not request.get("CallerArn"):
            raise InvalidInput("CallerArn is required when a ResourcePolicy is given for a group.")
        return _simulated(ctx, request, caller, granted, limits)

    @in_thread
    def simulate_custom_policy(self, ctx: Context, request: api.SimulateCustomPolicyRequest) -> Document:
        """What the given policies would allow."""
        if request.get("ResourcePolicy") and not request.get("CallerArn"):
            raise InvalidInput("CallerArn is required when a ResourcePolicy is given.")
        unnamed = Principal(PrincipalKind.USER, ctx.account, f"arn:aws:iam::{ctx.account}:user/simulated", "")
        caller = self._caller(request["CallerArn"]) if request.get("CallerArn") else (unnamed, ())
        limits = _given(request, "PermissionsBoundaryPolicyInputList")
        return _simulated(ctx, request, caller, _given(request, "PolicyInputList"), limits)

    def _caller(self, caller_arn: str) -> Caller:
        """The user or role that would call; it may be one of another account."""
        kind, name = _kind_and_name(caller_arn)
        record = self._directory.records.by_arn(caller_arn)
        if record is not None and record.kind == kind:
            return _principal(record)
        return _of_kind(kind, split(caller_arn).account, caller_arn, name, "")

    def _entity(self, source_arn: str) -> Record:
        kind, name = _kind_and_name(source_arn)
        record = self._directory.records.by_arn(source_arn)
        if record is None or record.kind != kind:
            raise NoSuchEntity(f"The {kind} with name {name} cannot be found.")
        return record


def _simulated(
    ctx: Context, request: Members, caller: Caller, granted: list[Attached], limits: list[Attached]
) -> Document:
    for member in ("OrderedOrganizationPolicyInputList", "PolicyExclusionList"):
        if request.get(member):
            raise NotSupported(f"Clary does not support {member} in simulations.")
    attached = [_parsed(_RESOURCE_POLICY, request["ResourcePolicy"])] if request.get("ResourcePolicy") else []
    owner = _owner(request) or caller[0].account
    simulation = Simulation(caller, owner, _keys(ctx, request, caller[0]), granted, limits, attached)
    resources = _resources(request)
    results = [simulation.results(action, resources) for action in _actions(request)]
    return pages.of_items("EvaluationResults", results, request, dict)


def _actions(request: Members) -> Iterable[str]:
    for action in request["ActionNames"]:
        service, _, name = action.partition(":")
        if not service or not name or set(action) & set("*?"):
            raise InvalidInput(f"Invalid action: {action}. Give the service and the name of one operation.")
    return list(request["ActionNames"])


def _resources(request: Members) -> list[str]:
    resources = list(request.get("ResourceArns") or ["*"])
    if "*" in resources and len(resources) > 1:
        raise InvalidInput("You cannot include both * and individual resources in the resource list.")
    return resources


def _owner(request: Members) -> str:
    owner = str(request.get("ResourceOwner") or "")
    account = owner.removeprefix("arn:aws:iam::").removesuffix(":root")
    if owner and not (account.isdigit() and len(account) == 12):
        raise InvalidInput(f"Invalid ResourceOwner: {owner}")
    return account


def _keys(ctx: Context, request: Members, principal: Principal) -> dict[str, Values]:
    """The keys that follow from who calls, and those that are given."""
    known: dict[str, Values] = {
        key: (value,) for key, value in principal_keys(replace(ctx, principal=principal)).items() if value
    }
    for entry in request.get("ContextEntries", ()):
        known[entry.get("ContextKeyName", "").lower()] = tuple(entry.get("ContextKeyValues", ()))
    return known


def _given(request: Members, member: str) -> list[Attached]:
    documents = request.get(member, ())
    return [_parsed(Source("none", f"{member}.{number}"), text) for number, text in enumerate(documents, start=1)]


def _parsed(source: Source, text: str) -> Attached:
    try:
        policy.parse(text)
    except policy.InvalidPolicy as error:
        raise InvalidInput(str(error)) from error
    return source, text


def _kind_and_name(entity_arn: str) -> tuple[str, str]:
    try:
        resource = split(entity_arn).resource
    except ValueError as error:
        raise InvalidInput(f"Invalid Entity Arn: {entity_arn}") from error
    kind, _, name = resource.partition("/")
    if kind not in (entities.USER, entities.GROUP, entities.ROLE):
        raise InvalidInput(f"Invalid Entity Arn: {entity_arn} does not clearly define entity type and name.")
    return kind, name.rpartition("/")[2]


def _principal(source: Record) -> Caller:
    return _of_kind(source.kind, source.account, source.arn, source.name, entities.unique_id(source))


def _of_kind(kind: str, account: str, entity_arn: str, name: str, identifier: str) -> Caller:
    if kind == entities.ROLE:
        session = f"arn:aws:sts::{account}:assumed-role/{name}/simulated"
        user_id = f"{identifier}:simulated" if identifier else ""
        role = Principal(PrincipalKind.ASSUMED_ROLE, account, session, user_id, name, entity_arn)
        return role, (entity_arn, identifier or entity_arn)
    return Principal(PrincipalKind.USER, account, entity_arn, identifier, name), ()
