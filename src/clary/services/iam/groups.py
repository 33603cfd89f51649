"""Groups, and who belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory
from clary.services.iam.errors import DeleteConflict, LimitExceeded
from clary.services.service import in_thread
from clary.store.records import Query

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_GROUPS_PER_USER = 10


class Groups:
    """Sets of users who share policies."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_group(self, ctx: Context, request: api.CreateGroupRequest) -> Document:
        """A new, empty group."""
        observed = {"GroupId": unique_id("AGPA")}
        group = self._directory.create(ctx, entities.GROUP, request["GroupName"], dict(request), observed)
        return {"Group": shapes.group(group)}

    @in_thread
    def get_group(self, ctx: Context, request: api.GetGroupRequest) -> Document:
        """A group and its users."""
        group = self._directory.find(ctx, entities.GROUP, request["GroupName"])
        users = pages.of_items("Users", self._directory.members(ctx, group.name), request, shapes.user)
        return {"Group": shapes.group(group), **users}

    def list_groups(self, ctx: Context, request: api.ListGroupsRequest) -> Document:
        """The groups below a path."""
        return pages.of_records(
            "Groups", self._directory.records, Query(entities.GROUP, ctx.account), request, shapes.group
        )

    @in_thread
    def update_group(self, ctx: Context, request: api.UpdateGroupRequest) -> None:
        """Renames or moves a group."""
        group = self._directory.find(ctx, entities.GROUP, request["GroupName"])
        name = request.get("NewGroupName", group.name)
        path = request.get("NewPath", group.spec["Path"])
        self._directory.rename(ctx, group, name, GroupName=name, Path=path)
        for user in self._directory.members(ctx, group.name):
            groups = [name if each == group.name else each for each in user.spec[entities.GROUPS]]
            self._directory.change(ctx, user, Groups=groups)

    @in_thread
    def delete_group(self, ctx: Context, request: api.DeleteGroupRequest) -> None:
        """Removes a group on which nothing hangs any more."""
        group = self._directory.find(ctx, entities.GROUP, request["GroupName"])
        if self._directory.members(ctx, group.name):
            raise DeleteConflict("Cannot delete entity, must remove users from group first.")
        if group.spec.get(entities.INLINE):
            raise DeleteConflict("Cannot delete entity, must delete policies first.")
        if group.spec.get(entities.ATTACHED):
            raise DeleteConflict("Cannot delete entity, must detach all policies first.")
        self._directory.records.delete(group)

    def add_user_to_group(self, ctx: Context, request: api.AddUserToGroupRequest) -> None:
        """Makes a user a member; a member already is not an error."""
        group = self._directory.find(ctx, entities.GROUP, request["GroupName"])
        user = self._directory.find(ctx, entities.USER, request["UserName"])
        groups = user.spec.get(entities.GROUPS, [])
        if group.name in groups:
            return
        if len(groups) >= _GROUPS_PER_USER:
            raise LimitExceeded(f"Cannot exceed quota for GroupsPerUser: {_GROUPS_PER_USER}")
        self._directory.change(ctx, user, Groups=[*groups, group.name])

    def remove_user_from_group(self, ctx: Context, request: api.RemoveUserFromGroupRequest) -> None:
        """Ends a membership."""
        group = self._directory.find(ctx, entities.GROUP, request["GroupName"])
        user = self._directory.find(ctx, entities.USER, request["UserName"])
        groups = [name for name in user.spec.get(entities.GROUPS, ()) if name != group.name]
        self._directory.change(ctx, user, Groups=groups)

    def list_groups_for_user(self, ctx: Context, request: api.ListGroupsForUserRequest) -> Document:
        """The groups of a user."""
        user = self._directory.find(ctx, entities.USER, request["UserName"])
        groups = [
            self._directory.find(ctx, entities.GROUP, name) for name in sorted(user.spec.get(entities.GROUPS, ()))
        ]
        return pages.of_items("Groups", groups, request, shapes.group)
