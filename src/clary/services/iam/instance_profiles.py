"""Instance profiles: how a role gets onto an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory
from clary.services.iam.errors import DeleteConflict, LimitExceeded, NoSuchEntity
from clary.services.service import in_thread
from clary.store.records import Query

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record


class InstanceProfiles:
    """Containers of one role each."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_instance_profile(self, ctx: Context, request: api.CreateInstanceProfileRequest) -> Document:
        """A new, empty instance profile."""
        profile = self._directory.create(
            ctx,
            entities.INSTANCE_PROFILE,
            request["InstanceProfileName"],
            dict(request),
            {"InstanceProfileId": unique_id("AIPA")},
        )
        return {"InstanceProfile": self._shape(ctx, profile)}

    def get_instance_profile(self, ctx: Context, request: api.GetInstanceProfileRequest) -> Document:
        """An instance profile and its role."""
        return {"InstanceProfile": self._shape(ctx, self._find(ctx, request))}

    @in_thread
    def list_instance_profiles(self, ctx: Context, request: api.ListInstanceProfilesRequest) -> Document:
        """The instance profiles below a path."""
        query = Query(entities.INSTANCE_PROFILE, ctx.account)
        return pages.of_records(
            "InstanceProfiles", self._directory.records, query, request, lambda each: self._shape(ctx, each)
        )

    @in_thread
    def list_instance_profiles_for_role(
        self, ctx: Context, request: api.ListInstanceProfilesForRoleRequest
    ) -> Document:
        """The instance profiles that hold a role."""
        role = self._directory.find(ctx, entities.ROLE, request["RoleName"])
        profiles = self._directory.profiles(ctx, role.name)
        return pages.of_items("InstanceProfiles", profiles, request, lambda each: self._shape(ctx, each))

    def add_role_to_instance_profile(self, ctx: Context, request: api.AddRoleToInstanceProfileRequest) -> None:
        """Puts a role into an empty profile."""
        profile = self._find(ctx, request)
        role = self._directory.find(ctx, entities.ROLE, request["RoleName"])
        if profile.spec.get("Roles"):
            raise LimitExceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        self._directory.change(ctx, profile, Roles=[role.name])

    def remove_role_from_instance_profile(
        self, ctx: Context, request: api.RemoveRoleFromInstanceProfileRequest
    ) -> None:
        """Takes the role out of a profile."""
        profile = self._find(ctx, request)
        if request["RoleName"] not in profile.spec.get("Roles", ()):
            raise NoSuchEntity(f"The role with name {request['RoleName']} cannot be found.")
        self._directory.change(ctx, profile, Roles=[])

    def delete_instance_profile(self, ctx: Context, request: api.DeleteInstanceProfileRequest) -> None:
        """Removes an empty profile."""
        profile = self._find(ctx, request)
        if profile.spec.get("Roles"):
            raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
        self._directory.records.delete(profile)

    def _find(self, ctx: Context, request: Members) -> Record:
        return self._directory.find(ctx, entities.INSTANCE_PROFILE, request["InstanceProfileName"])

    def _shape(self, ctx: Context, profile: Record) -> Document:
        roles = [self._directory.find(ctx, entities.ROLE, name) for name in profile.spec.get("Roles", ())]
        return shapes.instance_profile(profile, roles)
