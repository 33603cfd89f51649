"""Roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory
from clary.services.iam.errors import DeleteConflict
from clary.services.iam.trust import refuse_trust, rename_principal
from clary.services.service import in_thread
from clary.store.records import Query

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record


class Roles:
    """Permissions that jobs, instances and people may take on."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_role(self, ctx: Context, request: api.CreateRoleRequest) -> Document:
        """A new role that those may take on whom its trust policy names."""
        refuse_trust(self._directory, ctx, request["AssumeRolePolicyDocument"])
        if entities.BOUNDARY in request:
            self._directory.refuse_boundary(request[entities.BOUNDARY])
        observed = {"RoleId": unique_id("AROA")}
        role = self._directory.create(ctx, entities.ROLE, request["RoleName"], dict(request), observed)
        return {"Role": shapes.new_role(role)}

    def get_role(self, ctx: Context, request: api.GetRoleRequest) -> Document:
        """A role and when it was last used."""
        role = self._find(ctx, request)
        return {"Role": {**shapes.role_detail(role), "RoleLastUsed": self._directory.role_last_used(role)}}

    def list_roles(self, ctx: Context, request: api.ListRolesRequest) -> Document:
        """The roles below a path."""
        return pages.of_records(
            "Roles", self._directory.records, Query(entities.ROLE, ctx.account), request, shapes.role
        )

    def update_role(self, ctx: Context, request: api.UpdateRoleRequest) -> api.UpdateRoleResponse:
        """Changes the description and the longest session of a role."""
        changes = {name: request[name] for name in ("Description", "MaxSessionDuration") if name in request}
        self._directory.change(ctx, self._find(ctx, request), **changes)
        return {}

    def update_role_description(self, ctx: Context, request: api.UpdateRoleDescriptionRequest) -> Document:
        """Changes the description of a role."""
        role = self._directory.change(ctx, self._find(ctx, request), Description=request["Description"])
        return {"Role": shapes.role_detail(role)}

    def update_assume_role_policy(self, ctx: Context, request: api.UpdateAssumeRolePolicyRequest) -> None:
        """Changes who may take on a role."""
        role = self._find_changeable(ctx, request)
        refuse_trust(self._directory, ctx, request["PolicyDocument"])
        self._directory.change(ctx, role, AssumeRolePolicyDocument=request["PolicyDocument"])

    @in_thread
    def delete_role(self, ctx: Context, request: api.DeleteRoleRequest) -> None:
        """Removes a role on which nothing hangs any more."""
        role = self._find_changeable(ctx, request)
        if self._directory.profiles(ctx, role.name):
            raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
        if role.spec.get(entities.ATTACHED):
            raise DeleteConflict("Cannot delete entity, must detach all policies first.")
        if role.spec.get(entities.INLINE):
            raise DeleteConflict("Cannot delete entity, must delete policies first.")
        rename_principal(self._directory, ctx, role.arn, role.observed["RoleId"])
        self._directory.records.delete(role)

    def put_role_permissions_boundary(self, ctx: Context, request: api.PutRolePermissionsBoundaryRequest) -> None:
        """Limits a role by a managed policy."""
        self._directory.refuse_boundary(request[entities.BOUNDARY])
        self._directory.change(ctx, self._find_changeable(ctx, request), PermissionsBoundary=request[entities.BOUNDARY])

    def delete_role_permissions_boundary(self, ctx: Context, request: api.DeleteRolePermissionsBoundaryRequest) -> None:
        """Lifts the limit of a role."""
        self._directory.change(ctx, self._find_changeable(ctx, request), PermissionsBoundary=None)

    def _find(self, ctx: Context, request: Members) -> Record:
        return self._directory.find(ctx, entities.ROLE, request["RoleName"])

    def _find_changeable(self, ctx: Context, request: Members) -> Record:
        return self._directory.find_changeable(ctx, entities.ROLE, request["RoleName"])
