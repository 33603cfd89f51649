from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.iam.conftest import ACCOUNT, READ, allowing, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_life_of_a_user(iam: Any) -> None:
    created = iam.create_user(UserName="ada", Path="/staff/", Tags=[{"Key": "team", "Value": "blue"}])["User"]
    assert created["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/ada"
    assert created["UserId"].startswith("AIDA")
    assert len(created["UserId"]) == 21
    assert isinstance(created["CreateDate"], datetime)
    assert iam.get_user(UserName="ada")["User"] == created
    assert "Tags" not in iam.list_users()["Users"][0]
    assert refusal(iam.create_user, UserName="ada") == ("EntityAlreadyExists", "User with name ada already exists.")
    iam.delete_user(UserName="ada")
    assert refusal(iam.get_user, UserName="ada") == ("NoSuchEntity", "The user with name ada cannot be found.")
    assert refusal(iam.delete_user, UserName="ada")[0] == "NoSuchEntity"


def test_own_user(cloud: Cloud, iam: Any) -> None:
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    iam.create_user(UserName="ada")
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=allowing("iam:GetUser", "*"))
    own = cloud.client("iam", iam.create_access_key(UserName="ada")["AccessKey"])
    assert own.get_user()["User"]["UserName"] == "ada"


def test_pages_and_paths(iam: Any) -> None:
    for number in range(5):
        iam.create_user(UserName=f"user-{number}", Path="/even/" if number % 2 == 0 else "/odd/")
    pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    names = [user["UserName"] for user in iam.list_users(PathPrefix="/even/", MaxItems=2)["Users"]]
    assert names == ["user-0", "user-2"]
    paginator = iam.get_paginator("list_users").paginate(PathPrefix="/even/", PaginationConfig={"PageSize": 1})
    assert [user["UserName"] for page in paginator for user in page["Users"]] == ["user-0", "user-2", "user-4"]
    assert refusal(iam.list_users, Marker="nonsense")[0] == "ValidationError"


def test_what_hangs_on_a_user_keeps_it(iam: Any) -> None:
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]["AccessKeyId"]
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=READ)
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="ada")

    def delete() -> tuple[str, str]:
        return refusal(iam.delete_user, UserName="ada")

    assert delete() == ("DeleteConflict", "Cannot delete entity, must delete access keys first.")
    iam.delete_access_key(UserName="ada", AccessKeyId=key)
    assert delete() == ("DeleteConflict", "Cannot delete entity, must delete policies first.")
    iam.delete_user_policy(UserName="ada", PolicyName="p")
    assert delete() == ("DeleteConflict", "Cannot delete entity, must detach all policies first.")
    iam.detach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert delete()[0] == "DeleteConflict"
    iam.remove_user_from_group(GroupName="staff", UserName="ada")
    iam.delete_user(UserName="ada")


def test_renaming_keeps_identity_and_keys(cloud: Cloud, iam: Any) -> None:
    user = iam.create_user(UserName="ada")["User"]
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    iam.update_user(UserName="ada", NewUserName="lovelace", NewPath="/staff/")
    renamed = iam.get_user(UserName="lovelace")["User"]
    assert renamed["UserId"] == user["UserId"]
    assert renamed["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/lovelace"
    assert cloud.client("sts", key).get_caller_identity()["Arn"] == renamed["Arn"]
    iam.create_user(UserName="bob")
    assert refusal(iam.update_user, UserName="bob", NewUserName="lovelace")[0] == "EntityAlreadyExists"
    iam.update_user(UserName="lovelace", NewPath="/")
    moved = f"arn:aws:iam::{ACCOUNT}:user/lovelace"
    assert iam.get_user(UserName="lovelace")["User"]["Arn"] == moved
    assert cloud.client("sts", key).get_caller_identity()["Arn"] == moved


def test_tags(iam: Any) -> None:
    iam.create_user(UserName="ada")
    iam.tag_user(UserName="ada", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_user(UserName="ada", TagKeys=["a"])
    assert iam.list_user_tags(UserName="ada")["Tags"] == [{"Key": "b", "Value": "2"}]


def test_boundary(cloud: Cloud, iam: Any) -> None:
    arn = iam.create_policy(PolicyName="limit", PolicyDocument=allowing("iam:GetUser"))["Policy"]["Arn"]
    user = iam.create_user(UserName="ada", PermissionsBoundary=arn)["User"]
    assert user["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    own = cloud.client("iam", iam.create_access_key(UserName="ada")["AccessKey"])
    assert own.get_user()
    assert refusal(own.list_users)[1].endswith("because no permissions boundary allows the iam:ListUsers action")
    iam.delete_user_permissions_boundary(UserName="ada")
    assert own.list_users()
    iam.put_user_permissions_boundary(UserName="ada", PermissionsBoundary=arn)
    assert refusal(own.list_users)[0] == "AccessDenied"
    assert refusal(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    no_policy = "arn:aws:iam::123456789:not_a_boundary"
    assert refusal(iam.put_user_permissions_boundary, UserName="ada", PermissionsBoundary=no_policy) == (
        "InvalidParameterValue",
        f"Value ({no_policy}) for parameter PermissionsBoundary is invalid.",
    )


def test_access_keys(cloud: Cloud, iam: Any) -> None:
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    assert key["Status"] == "Active"
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "N/A"
    sts = cloud.client("sts", key)
    assert sts.get_caller_identity()
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert used["UserName"] == "ada"
    assert used["AccessKeyLastUsed"]["ServiceName"] == "sts"
    assert used["AccessKeyLastUsed"]["Region"] == "eu-west-1"
    assert (datetime.now(UTC) - used["AccessKeyLastUsed"]["LastUsedDate"]).total_seconds() < 60
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(sts.get_caller_identity)[0] == "InvalidClientTokenId"
    assert iam.list_access_keys(UserName="ada")["AccessKeyMetadata"][0]["Status"] == "Inactive"
    iam.create_access_key(UserName="ada")
    assert refusal(iam.create_access_key, UserName="ada") == (
        "LimitExceeded",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    unknown = "AKIAIOSFODNN7EXAMPLE"
    assert refusal(iam.delete_access_key, UserName="ada", AccessKeyId=unknown) == (
        "NoSuchEntity",
        f"The Access Key with id {unknown} cannot be found.",
    )


def test_groups(iam: Any) -> None:
    group = iam.create_group(GroupName="staff")["Group"]
    assert group["GroupId"].startswith("AGPA")
    iam.create_user(UserName="ada")
    iam.add_user_to_group(GroupName="staff", UserName="ada")
    iam.add_user_to_group(GroupName="staff", UserName="ada")
    assert [user["UserName"] for user in iam.get_group(GroupName="staff")["Users"]] == ["ada"]
    assert iam.list_groups_for_user(UserName="ada")["Groups"] == [group]
    assert refusal(iam.delete_group, GroupName="staff") == (
        "DeleteConflict",
        "Cannot delete entity, must remove users from group first.",
    )
    iam.update_group(GroupName="staff", NewGroupName="crew")
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName="ada")["Groups"]] == ["crew"]
    iam.remove_user_from_group(GroupName="crew", UserName="ada")
    iam.delete_group(GroupName="crew")
    assert iam.list_groups()["Groups"] == []


@pytest.mark.parametrize("operation", ["add_user_to_group", "remove_user_from_group"])
def test_unknown_group(iam: Any, operation: str) -> None:
    iam.create_user(UserName="ada")
    call = getattr(iam, operation)
    message = "The group with name staff cannot be found."
    assert refusal(call, GroupName="staff", UserName="ada") == ("NoSuchEntity", message)


def test_permissions_of_a_group(cloud: Cloud, iam: Any) -> None:
    iam.create_user(UserName="ada")
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="ada")
    own = cloud.client("iam", iam.create_access_key(UserName="ada")["AccessKey"])
    assert refusal(own.list_groups)[0] == "AccessDenied"
    iam.put_group_policy(GroupName="staff", PolicyName="p", PolicyDocument=allowing("iam:ListGroups"))
    assert own.list_groups()["Groups"]
