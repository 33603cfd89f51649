from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.auth import passwords
from tests.services.iam.conftest import allowing, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud

GOOD = "Correct-horse-1"


@pytest.fixture
def ada(iam: Any) -> Any:
    """Hers is IAM with the right to change her own password."""
    iam.create_user(UserName="ada")
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=allowing("iam:ChangePassword"))
    return iam.create_access_key(UserName="ada")["AccessKey"]


def test_life_of_a_login_profile(iam: Any, ada: Any) -> None:
    made = iam.create_login_profile(UserName="ada", Password=GOOD, PasswordResetRequired=True)["LoginProfile"]
    assert (made["UserName"], made["PasswordResetRequired"]) == ("ada", True)
    assert iam.get_login_profile(UserName="ada")["LoginProfile"] == made
    assert refusal(iam.create_login_profile, UserName="ada", Password=GOOD)[0] == "EntityAlreadyExists"
    iam.update_login_profile(UserName="ada", Password="Another-horse-2", PasswordResetRequired=False)
    assert iam.get_login_profile(UserName="ada")["LoginProfile"]["PasswordResetRequired"] is False
    iam.delete_access_key(UserName="ada", AccessKeyId=ada["AccessKeyId"])
    iam.delete_user_policy(UserName="ada", PolicyName="p")
    conflict = ("DeleteConflict", "Cannot delete entity, must delete login profile first.")
    assert refusal(iam.delete_user, UserName="ada") == conflict
    iam.delete_login_profile(UserName="ada")
    missing = ("NoSuchEntity", "Login Profile for User ada cannot be found.")
    assert refusal(iam.get_login_profile, UserName="ada") == missing
    iam.delete_user(UserName="ada")


def test_password_is_not_kept(cloud: Cloud, iam: Any, ada: Any) -> None:
    iam.create_login_profile(UserName="ada", Password=GOOD)
    user = cloud.parts.platform.records.get("user", "123456789012", "", "ada")
    assert user
    profile = passwords.login_profile(cloud.parts.platform.records, user)
    assert profile
    assert GOOD not in repr(profile)
    assert passwords.matches(GOOD, profile.observed["Former"][0])
    assert not passwords.matches(GOOD.lower(), profile.observed["Former"][0])


def test_own_password(cloud: Cloud, iam: Any, ada: Any) -> None:
    own = cloud.client("iam", ada)
    missing = ("NoSuchEntity", "Login Profile for User ada cannot be found.")
    assert refusal(own.change_password, OldPassword=GOOD, NewPassword="Another-horse-2") == missing
    iam.create_login_profile(UserName="ada", Password=GOOD)
    assert refusal(own.change_password, OldPassword="wrong", NewPassword="Another-horse-2")[0] == "AccessDenied"
    own.change_password(OldPassword=GOOD, NewPassword="Another-horse-2")
    assert refusal(own.change_password, OldPassword=GOOD, NewPassword="Third-horse-3")[0] == "AccessDenied"
    assert refusal(iam.change_password, OldPassword=GOOD, NewPassword="Third-horse-3")[0] == "InvalidUserType"


@pytest.mark.parametrize("weak", ["Short-1", "only lower case", "ONLYCAPITALS1"])
def test_what_aws_asks_of_everybody(iam: Any, ada: Any, weak: str) -> None:
    assert refusal(iam.create_login_profile, UserName="ada", Password=weak)[0] == "PasswordPolicyViolation"


def test_policy(iam: Any) -> None:
    assert refusal(iam.get_account_password_policy)[0] == "NoSuchEntity"
    iam.update_account_password_policy(MinimumPasswordLength=12, MaxPasswordAge=90, RequireNumbers=True)
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    assert (policy["MinimumPasswordLength"], policy["MaxPasswordAge"], policy["ExpirePasswords"]) == (12, 90, True)
    iam.update_account_password_policy()
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    assert (policy["MinimumPasswordLength"], policy["RequireNumbers"], policy["ExpirePasswords"]) == (6, False, False)
    iam.delete_account_password_policy()
    assert refusal(iam.delete_account_password_policy)[0] == "NoSuchEntity"


@pytest.mark.parametrize(
    ("asked", "password", "message"),
    [
        ({"MinimumPasswordLength": 14}, "Short-1", "Password should have a minimum length of 14"),
        ({"RequireSymbols": True}, "NoSymbol1", "Password should have at least one symbol"),
        ({"RequireNumbers": True}, "NoNumber-", "Password should have at least one number"),
        ({"RequireUppercaseCharacters": True}, "lower-1", "Password should have at least one uppercase letter"),
        ({"RequireLowercaseCharacters": True}, "UPPER-1", "Password should have at least one lowercase letter"),
    ],
)
def test_policy_is_enforced(iam: Any, ada: Any, asked: dict[str, Any], password: str, message: str) -> None:
    iam.update_account_password_policy(**asked)
    refused = refusal(iam.create_login_profile, UserName="ada", Password=password)
    assert refused == ("PasswordPolicyViolation", message)


def test_former_passwords(cloud: Cloud, iam: Any, ada: Any) -> None:
    iam.update_account_password_policy(PasswordReusePrevention=2)
    iam.create_login_profile(UserName="ada", Password="first-1")
    own = cloud.client("iam", ada)
    assert refusal(own.change_password, OldPassword="first-1", NewPassword="first-1")[0] == "PasswordPolicyViolation"
    own.change_password(OldPassword="first-1", NewPassword="second-2")
    assert refusal(own.change_password, OldPassword="second-2", NewPassword="first-1")[0] == "PasswordPolicyViolation"
    own.change_password(OldPassword="second-2", NewPassword="third-3")
    own.change_password(OldPassword="third-3", NewPassword="first-1")


def test_expired_password(cloud: Cloud, iam: Any, ada: Any) -> None:
    iam.update_account_password_policy(MaxPasswordAge=1, HardExpiry=True)
    user = cloud.parts.platform.records.get("user", "123456789012", "", "ada")
    assert user
    iam.create_login_profile(UserName="ada", Password=GOOD)
    profile = passwords.login_profile(cloud.parts.platform.records, user)
    assert profile
    changed = (cloud.clock.now() - timedelta(days=2)).isoformat()
    profile.observed["Changed"] = changed
    cloud.parts.platform.records.update(profile)
    own = cloud.client("iam", ada)
    code, message = refusal(own.change_password, OldPassword=GOOD, NewPassword="Another-horse-2")
    assert (code, "expired" in message) == ("AccessDenied", True)
    iam.update_account_password_policy(MaxPasswordAge=1)
    own.change_password(OldPassword=GOOD, NewPassword="Another-horse-2")


def test_account_lets_users_change_their_own_password(cloud: Cloud, iam: Any) -> None:
    iam.create_user(UserName="bob")
    iam.create_login_profile(UserName="bob", Password=GOOD)
    own = cloud.client("iam", iam.create_access_key(UserName="bob")["AccessKey"])
    change = {"OldPassword": GOOD, "NewPassword": "Another-horse-2"}
    assert "iam:ChangePassword" in refusal(own.change_password, **change)[1]
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    assert own.get_account_password_policy()["PasswordPolicy"]["AllowUsersToChangePassword"]
    denied = allowing("iam:ChangePassword", Effect="Deny")
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=denied)
    assert refusal(own.change_password, **change)[0] == "AccessDenied"
    iam.delete_user_policy(UserName="bob", PolicyName="p")
    own.change_password(**change)
