"""Which managed policies hang on which users, groups and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory
from clary.services.iam.errors import LimitExceeded, NoSuchEntity
from clary.services.iam.inline import NAMES
from clary.services.service import in_thread

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_QUOTAS = {entities.USER: "PoliciesPerUser", entities.GROUP: "PoliciesPerGroup", entities.ROLE: "PoliciesPerRole"}
_MOST_ATTACHED = 10
_ENTITIES = {
    entities.GROUP: ("PolicyGroups", "GroupName", "GroupId", "Group"),
    entities.USER: ("PolicyUsers", "UserName", "UserId", "User"),
    entities.ROLE: ("PolicyRoles", "RoleName", "RoleId", "Role"),
}
"""Member of the answer, members of its items, and EntityFilter of ListEntitiesForPolicy."""


class Attachments:
    """Managed policies on users, groups and roles."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def attach_user_policy(self, ctx: Context, request: api.AttachUserPolicyRequest) -> None:
        """Gives a user the permissions of a managed policy."""
        self._attach(ctx, entities.USER, request)

    def attach_group_policy(self, ctx: Context, request: api.AttachGroupPolicyRequest) -> None:
        """Gives a group the permissions of a managed policy."""
        self._attach(ctx, entities.GROUP, request)

    def attach_role_policy(self, ctx: Context, request: api.AttachRolePolicyRequest) -> None:
        """Gives a role the permissions of a managed policy."""
        self._attach(ctx, entities.ROLE, request)

    def detach_user_policy(self, ctx: Context, request: api.DetachUserPolicyRequest) -> None:
        """Takes a managed policy from a user."""
        self._detach(ctx, entities.USER, request)

    def detach_group_policy(self, ctx: Context, request: api.DetachGroupPolicyRequest) -> None:
        """Takes a managed policy from a group."""
        self._detach(ctx, entities.GROUP, request)

    def detach_role_policy(self, ctx: Context, request: api.DetachRolePolicyRequest) -> None:
        """Takes a managed policy from a role."""
        self._detach(ctx, entities.ROLE, request)

    def list_attached_user_policies(self, ctx: Context, request: api.ListAttachedUserPoliciesRequest) -> Document:
        """The managed policies of a user."""
        return self._list(ctx, entities.USER, request)

    def list_attached_group_policies(self, ctx: Context, request: api.ListAttachedGroupPoliciesRequest) -> Document:
        """The managed policies of a group."""
        return self._list(ctx, entities.GROUP, request)

    def list_attached_role_policies(self, ctx: Context, request: api.ListAttachedRolePoliciesRequest) -> Document:
        """The managed policies of a role."""
        return self._list(ctx, entities.ROLE, request)

    @in_thread
    def list_entities_for_policy(self, ctx: Context, request: api.ListEntitiesForPolicyRequest) -> Document:
        """The users, groups and roles that have a managed policy, or are limited by it."""
        policy_arn = request["PolicyArn"]
        self._directory.refuse_unattachable(policy_arn)
        usage = request.get("PolicyUsageFilter")
        found = [entity for entity in self._entities(ctx, request) if _uses(entity, policy_arn, usage)]
        page = pages.of_items("Items", found, request, lambda entity: entity)
        answer: Document = {member: [] for member, *_ in _ENTITIES.values()}
        for entity in page.pop("Items"):
            member, name, identifier, _ = _ENTITIES[entity.kind]
            answer[member].append({name: entity.name, identifier: entity.observed[identifier]})
        return {**answer, **page}

    def _entities(self, ctx: Context, request: Members) -> list[Record]:
        wanted = request.get("EntityFilter")
        kinds = [kind for kind, (*_, name) in _ENTITIES.items() if wanted in (None, name)]
        prefix = request.get("PathPrefix", "/")
        return [entity for entity in self._directory.all(ctx, *kinds) if entity.spec["Path"].startswith(prefix)]

    def _attach(self, ctx: Context, kind: str, request: Members) -> None:
        entity = self._directory.find_changeable(ctx, kind, request[NAMES[kind]])
        policy_arn = request["PolicyArn"]
        self._directory.refuse_unattachable(policy_arn)
        attached = entity.spec.get(entities.ATTACHED, [])
        if policy_arn in attached:
            return
        if len(attached) >= _MOST_ATTACHED:
            raise LimitExceeded(f"Cannot exceed quota for {_QUOTAS[kind]}: {_MOST_ATTACHED}")
        self._directory.change(ctx, entity, AttachedPolicies=[*attached, policy_arn])

    def _detach(self, ctx: Context, kind: str, request: Members) -> None:
        entity = self._directory.find_changeable(ctx, kind, request[NAMES[kind]])
        policy_arn = request["PolicyArn"]
        attached = entity.spec.get(entities.ATTACHED, [])
        if policy_arn not in attached:
            raise NoSuchEntity(f"Policy {policy_arn} was not found.")
        self._directory.change(ctx, entity, AttachedPolicies=[each for each in attached if each != policy_arn])

    def _list(self, ctx: Context, kind: str, request: Members) -> Document:
        entity = self._directory.find(ctx, kind, request[NAMES[kind]])
        return pages.of_items("AttachedPolicies", entity.spec.get(entities.ATTACHED, []), request, shapes.attached)


def _uses(entity: Record, policy_arn: str, usage: str | None) -> bool:
    has = policy_arn in entity.spec.get(entities.ATTACHED, ()) and usage != "PermissionsBoundary"
    is_limited = entity.spec.get(entities.BOUNDARY) == policy_arn and usage != "PermissionsPolicy"
    return has or is_limited
