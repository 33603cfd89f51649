"""Users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities, passwords
from clary.auth.credentials import root_user
from clary.auth.identifiers import unique_id
from clary.context import PrincipalKind
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory, own_user
from clary.services.iam.errors import DeleteConflict
from clary.services.iam.trust import rename_principal
from clary.services.service import in_thread
from clary.store.records import Query

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.records import Record

_OWNED = {
    entities.LOGIN_PROFILE: "login profile",
    entities.MFA_DEVICE: "MFA device",
    entities.SIGNING_CERTIFICATE: "signing certificates",
    entities.SSH_PUBLIC_KEY: "SSH public keys",
}
"""What must be taken from a user before it goes, as AWS calls it."""


class Users:
    """People and programs with keys of their own."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_user(self, ctx: Context, request: api.CreateUserRequest) -> Document:
        """A new user without any permission."""
        if entities.BOUNDARY in request:
            self._directory.refuse_boundary(request[entities.BOUNDARY])
        observed = {"UserId": unique_id("AIDA")}
        user = self._directory.create(ctx, entities.USER, request["UserName"], dict(request), observed)
        return {"User": shapes.user_detail(user)}

    def get_user(self, ctx: Context, request: api.GetUserRequest) -> Document:
        """A user; the caller when the request names none."""
        if "UserName" not in request and ctx.principal.kind is PrincipalKind.ROOT:
            root = root_user(ctx.account)
            first = self._directory.records.list(Query(entities.ACCESS_KEY, ctx.account, limit=1))
            return {
                "User": {"UserId": root.user_id, "Arn": root.arn, "CreateDate": first[0].created if first else ctx.now}
            }
        return {"User": self._detail(self._find(ctx, own_user(ctx, request)))}

    def list_users(self, ctx: Context, request: api.ListUsersRequest) -> Document:
        """The users below a path."""
        return pages.of_records(
            "Users", self._directory.records, Query(entities.USER, ctx.account), request, shapes.user
        )

    @in_thread
    def update_user(self, ctx: Context, request: api.UpdateUserRequest) -> None:
        """Renames or moves a user."""
        user = self._find(ctx, request["UserName"])
        name = request.get("NewUserName", user.name)
        path = request.get("NewPath", user.spec["Path"])
        renamed = self._directory.rename(ctx, user, name, UserName=name, Path=path)
        for key in self._keys(ctx, user.name):
            self._directory.change(ctx, key, UserName=name)
        rename_principal(self._directory, ctx, user.arn, renamed.arn)

    @in_thread
    def delete_user(self, ctx: Context, request: api.DeleteUserRequest) -> None:
        """Removes a user on whom nothing hangs any more."""
        user = self._find(ctx, request["UserName"])
        if self._keys(ctx, user.name):
            raise DeleteConflict("Cannot delete entity, must delete access keys first.")
        for kind, things in _OWNED.items():
            if entities.owned(self._directory.records, kind, user):
                raise DeleteConflict(f"Cannot delete entity, must delete {things} first.")
        if user.spec.get(entities.INLINE):
            raise DeleteConflict("Cannot delete entity, must delete policies first.")
        if user.spec.get(entities.ATTACHED):
            raise DeleteConflict("Cannot delete entity, must detach all policies first.")
        if user.spec.get(entities.GROUPS):
            raise DeleteConflict("Cannot delete entity, must remove users from group first.")
        rename_principal(self._directory, ctx, user.arn, user.observed["UserId"])
        self._directory.records.delete(user)

    def put_user_permissions_boundary(self, ctx: Context, request: api.PutUserPermissionsBoundaryRequest) -> None:
        """Limits a user by a managed policy."""
        policy_arn = request[entities.BOUNDARY]
        self._directory.refuse_boundary(policy_arn)
        self._directory.change(ctx, self._find(ctx, request["UserName"]), PermissionsBoundary=policy_arn)

    def delete_user_permissions_boundary(self, ctx: Context, request: api.DeleteUserPermissionsBoundaryRequest) -> None:
        """Lifts the limit of a user."""
        self._directory.change(ctx, self._find(ctx, request["UserName"]), PermissionsBoundary=None)

    def _detail(self, user: Record) -> Document:
        profile = passwords.login_profile(self._directory.records, user)
        used = profile.observed.get("LastUsed") if profile else None
        return {**shapes.user_detail(user), **({"PasswordLastUsed": used} if used else {})}

    def _find(self, ctx: Context, name: str) -> Record:
        return self._directory.find(ctx, entities.USER, name)

    def _keys(self, ctx: Context, name: str) -> list[Record]:
        return self._directory.records.all(Query(entities.ACCESS_KEY, ctx.account, where=(("UserName", name),)))
