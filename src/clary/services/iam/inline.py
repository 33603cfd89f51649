"""Inline policies: they belong to one user, group or role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.services.iam import pages
from clary.services.iam.directory import Directory
from clary.services.iam.documents import INLINE_LIMITS, encoded, refuse_malformed, size
from clary.services.iam.errors import LimitExceeded, NoSuchEntity

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

NAMES = {entities.USER: "UserName", entities.GROUP: "GroupName", entities.ROLE: "RoleName"}
"""How requests name an entity of each kind."""


class InlinePolicies:
    """Policies inside of users, groups and roles."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def put_user_policy(self, ctx: Context, request: api.PutUserPolicyRequest) -> None:
        """Writes an inline policy of a user."""
        self._put(ctx, entities.USER, request)

    def put_group_policy(self, ctx: Context, request: api.PutGroupPolicyRequest) -> None:
        """Writes an inline policy of a group."""
        self._put(ctx, entities.GROUP, request)

    def put_role_policy(self, ctx: Context, request: api.PutRolePolicyRequest) -> None:
        """Writes an inline policy of a role."""
        self._put(ctx, entities.ROLE, request)

    def get_user_policy(self, ctx: Context, request: api.GetUserPolicyRequest) -> Document:
        """An inline policy of a user."""
        return self._get(ctx, entities.USER, request)

    def get_group_policy(self, ctx: Context, request: api.GetGroupPolicyRequest) -> Document:
        """An inline policy of a group."""
        return self._get(ctx, entities.GROUP, request)

    def get_role_policy(self, ctx: Context, request: api.GetRolePolicyRequest) -> Document:
        """An inline policy of a role."""
        return self._get(ctx, entities.ROLE, request)

    def delete_user_policy(self, ctx: Context, request: api.DeleteUserPolicyRequest) -> None:
        """Removes an inline policy of a user."""
        self._delete(ctx, entities.USER, request)

    def delete_group_policy(self, ctx: Context, request: api.DeleteGroupPolicyRequest) -> None:
        """Removes an inline policy of a group."""
        self._delete(ctx, entities.GROUP, request)

    def delete_role_policy(self, ctx: Context, request: api.DeleteRolePolicyRequest) -> None:
        """Removes an inline policy of a role."""
        self._delete(ctx, entities.ROLE, request)

    def list_user_policies(self, ctx: Context, request: api.ListUserPoliciesRequest) -> Document:
        """The names of the inline policies of a user."""
        return self._list(ctx, entities.USER, request)

    def list_group_policies(self, ctx: Context, request: api.ListGroupPoliciesRequest) -> Document:
        """The names of the inline policies of a group."""
        return self._list(ctx, entities.GROUP, request)

    def list_role_policies(self, ctx: Context, request: api.ListRolePoliciesRequest) -> Document:
        """The names of the inline policies of a role."""
        return self._list(ctx, entities.ROLE, request)

    def _put(self, ctx: Context, kind: str, request: Members) -> None:
        entity = self._directory.find_changeable(ctx, kind, request[NAMES[kind]])
        refuse_malformed(request["PolicyDocument"])
        policies = {**entity.spec.get(entities.INLINE, {}), request["PolicyName"]: request["PolicyDocument"]}
        limit = INLINE_LIMITS[kind]
        if size("".join(policies.values())) > limit:
            raise LimitExceeded(f"Maximum policy size of {limit} bytes exceeded for {kind} {entity.name}")
        self._directory.change(ctx, entity, Policies=policies)

    def _get(self, ctx: Context, kind: str, request: Members) -> Document:
        entity = self._directory.find(ctx, kind, request[NAMES[kind]])
        document = entity.spec.get(entities.INLINE, {}).get(request["PolicyName"])
        if document is None:
            raise _missing(kind, request)
        return {
            NAMES[kind]: entity.name,
            "PolicyName": request["PolicyName"],
            "PolicyDocument": encoded(document),
        }

    def _delete(self, ctx: Context, kind: str, request: Members) -> None:
        entity = self._directory.find_changeable(ctx, kind, request[NAMES[kind]])
        policies = dict(entity.spec.get(entities.INLINE, {}))
        if policies.pop(request["PolicyName"], None) is None:
            raise _missing(kind, request)
        self._directory.change(ctx, entity, Policies=policies)

    def _list(self, ctx: Context, kind: str, request: Members) -> Document:
        entity = self._directory.find(ctx, kind, request[NAMES[kind]])
        return pages.of_items("PolicyNames", sorted(entity.spec.get(entities.INLINE, {})), request, str)


def _missing(kind: str, request: Members) -> NoSuchEntity:
    return NoSuchEntity(f"The {kind} policy with name {request['PolicyName']} cannot be found.")
