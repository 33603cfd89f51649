"""Passwords of users, and what the account asks of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.auth import entities, passwords
from clary.context import PrincipalKind
from clary.errors import AccessDenied
from clary.services.iam.directory import Directory, own_user
from clary.services.iam.errors import EntityAlreadyExists, InvalidUserType, NoSuchEntity, PasswordPolicyViolation
from clary.services.service import in_thread
from clary.store.records import AlreadyExists, Record

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

_REMEMBERED = 24
"""The most passwords whose use again an account may refuse."""


class Passwords:
    """Login profiles, and the account's password policy."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @in_thread
    def create_login_profile(self, ctx: Context, request: api.CreateLoginProfileRequest) -> Document:
        """Gives a user a password."""
        user = self._user(ctx, request)
        password = request.get("Password", "")
        self._refuse_weak(user, password, [])
        spec = {entities.OWNER: user.observed["UserId"]}
        observed = _changed(ctx, password, [], reset=request.get("PasswordResetRequired", False))
        profile = Record(
            entities.LOGIN_PROFILE, ctx.account, "", user.observed["UserId"], "", spec, ctx.now, ctx.now,
            observed=observed,
        )  # fmt: skip
        try:
            profile = self._directory.records.create(profile)
        except AlreadyExists as error:
            raise EntityAlreadyExists(f"Login Profile for user {user.name} already exists.") from error
        return {"LoginProfile": _shape(user, profile)}

    def get_login_profile(self, ctx: Context, request: api.GetLoginProfileRequest) -> Document:
        """Whether a user has a password, and since when."""
        user = self._user(ctx, request)
        return {"LoginProfile": _shape(user, self._profile(user))}

    @in_thread
    def update_login_profile(self, ctx: Context, request: api.UpdateLoginProfileRequest) -> None:
        """Gives a user another password, or asks for another at the next login."""
        user = self._user(ctx, request)
        profile = self._profile(user)
        observed = {**profile.observed}
        if "Password" in request:
            former = observed["Former"]
            self._refuse_weak(user, request["Password"], former)
            observed = _changed(ctx, request["Password"], former, reset=False)
        observed["ResetRequired"] = request.get("PasswordResetRequired", observed["ResetRequired"])
        self._directory.save(replace(profile, observed=observed, modified=ctx.now))

    def delete_login_profile(self, ctx: Context, request: api.DeleteLoginProfileRequest) -> None:
        """Takes a user's password away."""
        self._directory.records.delete(self._profile(self._user(ctx, request)))

    @in_thread
    def change_password(self, ctx: Context, request: api.ChangePasswordRequest) -> None:
        """Changes the caller's own password."""
        if ctx.principal.kind is not PrincipalKind.USER:
            raise InvalidUserType("Only IAM Users can change their own password.")
        user = self._directory.find(ctx, entities.USER, ctx.principal.name)
        profile = self._profile(user)
        policy = passwords.policy_of(self._directory.records, ctx.account)
        expiry = passwords.expires(policy, profile)
        if policy and policy["HardExpiry"] and expiry and expiry <= ctx.now:
            raise AccessDenied("The password has expired; an administrator must set a new one.")
        if not passwords.matches(request["OldPassword"], profile.observed["Former"][0]):
            raise AccessDenied("The old password was incorrect.")
        self._refuse_weak(user, request["NewPassword"], profile.observed["Former"])
        observed = _changed(ctx, request["NewPassword"], profile.observed["Former"], reset=False)
        self._directory.save(replace(profile, observed=observed, modified=ctx.now))

    def get_account_password_policy(self, ctx: Context, request: Document) -> Document:  # noqa: ARG002  # as all handlers
        """What the account asks of passwords."""
        policy = passwords.policy_of(self._directory.records, ctx.account)
        if policy is None:
            raise NoSuchEntity(f"The Password Policy with domain name {ctx.account} cannot be found.")
        return {"PasswordPolicy": {**policy, "ExpirePasswords": "MaxPasswordAge" in policy}}

    def update_account_password_policy(self, ctx: Context, request: api.UpdateAccountPasswordPolicyRequest) -> None:
        """Sets what the account asks; what the request does not name gets its default."""
        spec = {**passwords.DEFAULT, **request}
        record = self._directory.records.get(entities.PASSWORD_POLICY, ctx.account, "", entities.PASSWORD_POLICY)
        if record is not None:
            self._directory.save(replace(record, spec=spec, modified=ctx.now))
            return
        kind = entities.PASSWORD_POLICY
        self._directory.records.create(Record(kind, ctx.account, "", kind, "", spec, ctx.now, ctx.now))

    def delete_account_password_policy(self, ctx: Context, request: Document) -> None:  # noqa: ARG002  # as all handlers
        """Goes back to what AWS asks of everybody."""
        record = self._directory.records.get(entities.PASSWORD_POLICY, ctx.account, "", entities.PASSWORD_POLICY)
        if record is None:
            raise NoSuchEntity(f"The account policy with name {entities.PASSWORD_POLICY} cannot be found.")
        self._directory.records.delete(record)

    def _user(self, ctx: Context, request: Members) -> Record:
        return self._directory.find(ctx, entities.USER, own_user(ctx, request))

    def _profile(self, user: Record) -> Record:
        profile = passwords.login_profile(self._directory.records, user)
        if profile is None:
            raise NoSuchEntity(f"Login Profile for User {user.name} cannot be found.")
        return profile

    def _refuse_weak(self, user: Record, password: str, former: list[str]) -> None:
        policy = passwords.policy_of(self._directory.records, user.account)
        for violation in passwords.violations(policy, password, user.name, former):
            raise PasswordPolicyViolation(violation)


def _changed(ctx: Context, password: str, former: list[str], *, reset: bool) -> Document:
    kept = [passwords.hashed(password), *former][:_REMEMBERED]
    return {"Former": kept, "Changed": ctx.now.isoformat(), "ResetRequired": reset}


def _shape(user: Record, profile: Record) -> Document:
    return {
        "UserName": user.name,
        "CreateDate": profile.created,
        "PasswordResetRequired": profile.observed["ResetRequired"],
    }
