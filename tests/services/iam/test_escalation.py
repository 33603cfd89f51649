"""What somebody tries who may do a little, to be allowed more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.iam.conftest import ACCOUNT, TRUST, allowing, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cloud import Cloud


def user(cloud: Cloud, *statements: dict[str, Any], **request: Any) -> dict[str, Any]:
    """The access key of a new user, ada, with these statements."""
    iam = cloud.client("iam")
    iam.create_user(UserName="ada", **request)
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName="ada", PolicyName="own", PolicyDocument=document)
    return dict(iam.create_access_key(UserName="ada")["AccessKey"])


def allow(action: str | list[str], resource: str = "*", **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}


EVERYTHING = allowing("*")
ATTEMPTS: dict[str, Callable[[Any, str], Any]] = {
    "attach": lambda iam, arn: iam.attach_user_policy(UserName="ada", PolicyArn=arn),
    "put": lambda iam, _: iam.put_user_policy(UserName="ada", PolicyName="own", PolicyDocument=EVERYTHING),
    "version": lambda iam, arn: iam.create_policy_version(PolicyArn=arn, PolicyDocument=EVERYTHING, SetAsDefault=True),
    "default": lambda iam, arn: iam.set_default_policy_version(PolicyArn=arn, VersionId="v1"),
    "group": lambda iam, _: iam.add_user_to_group(GroupName="admins", UserName="ada"),
    "trust": lambda iam, _: iam.update_assume_role_policy(RoleName="admin", PolicyDocument=TRUST),
    "role policy": lambda iam, _: iam.put_role_policy(RoleName="admin", PolicyName="p", PolicyDocument=EVERYTHING),
    "key": lambda iam, _: iam.create_access_key(UserName="boss"),
    "password": lambda iam, _: iam.create_login_profile(UserName="boss", Password="Long-enough-1"),
    "new user": lambda iam, _: iam.create_user(UserName="eve"),
    "profile": lambda iam, _: iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="admin"),
    "boundary": lambda iam, _: iam.delete_user_permissions_boundary(UserName="ada"),
    "other boundary": lambda iam, arn: iam.put_user_permissions_boundary(UserName="ada", PermissionsBoundary=arn),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_who_may_read_may_not_change(cloud: Cloud, attempt: Callable[[Any, str], Any]) -> None:
    root = cloud.client("iam")
    arn = root.create_policy(PolicyName="all", PolicyDocument=EVERYTHING)["Policy"]["Arn"]
    root.create_role(RoleName="admin", AssumeRolePolicyDocument=TRUST)
    ada = cloud.client("iam", user(cloud, allow(["iam:Get*", "iam:List*", "iam:Simulate*"])))
    assert refusal(lambda: attempt(ada, arn))[0] == "AccessDenied"


def test_only_the_named_boundary_may_be_set(cloud: Cloud) -> None:
    root = cloud.client("iam")
    limit = root.create_policy(PolicyName="limit", PolicyDocument=allowing(["s3:*", "iam:*"]))["Policy"]["Arn"]
    wide = root.create_policy(PolicyName="wide", PolicyDocument=EVERYTHING)["Policy"]["Arn"]
    key = user(
        cloud,
        allow(
            ["iam:CreateUser", "iam:PutUserPermissionsBoundary", "iam:AttachUserPolicy"],
            StringEquals={"iam:PermissionsBoundary": limit},
        ),
        PermissionsBoundary=limit,
    )
    ada = cloud.client("iam", key)
    denied = [
        lambda: ada.create_user(UserName="eve"),
        lambda: ada.create_user(UserName="eve", PermissionsBoundary=wide),
        lambda: ada.put_user_permissions_boundary(UserName="ada", PermissionsBoundary=wide),
        lambda: ada.delete_user_permissions_boundary(UserName="ada"),
    ]
    assert [refusal(attempt)[0] for attempt in denied] == ["AccessDenied"] * 4
    ada.create_user(UserName="eve", PermissionsBoundary=limit)
    ada.attach_user_policy(UserName="eve", PolicyArn=wide)
    root.create_user(UserName="free")
    assert refusal(ada.attach_user_policy, UserName="free", PolicyArn=wide)[0] == "AccessDenied"


def test_a_boundary_holds_whatever_is_attached(cloud: Cloud) -> None:
    root = cloud.client("iam")
    limit = root.create_policy(PolicyName="limit", PolicyDocument=allowing("iam:ListUsers"))["Policy"]["Arn"]
    ada = cloud.client("iam", user(cloud, allow("*"), PermissionsBoundary=limit))
    assert ada.list_users()["Users"]
    _, message = refusal(ada.list_roles)
    assert message.endswith("because no permissions boundary allows the iam:ListRoles action")
    root.delete_user_permissions_boundary(UserName="ada")
    assert ada.list_roles()["Roles"] == []


def test_renaming_needs_both_names(cloud: Cloud) -> None:
    cloud.client("iam").create_user(UserName="boss-old")
    ada = cloud.client("iam", user(cloud, allow("iam:UpdateUser", f"arn:aws:iam::{ACCOUNT}:user/boss-old")))
    _, message = refusal(ada.update_user, UserName="boss-old", NewUserName="boss")
    assert "iam:UpdateUser on resource: user boss because" in message


@pytest.mark.parametrize("condition", ["12345678", ""])
def test_a_deputy_is_asked_for_the_external_id(cloud: Cloud, condition: str) -> None:
    root = cloud.client("iam")
    key = user(cloud, allow("sts:AssumeRole"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "12345678"}},
    }
    arn = root.create_role(RoleName="deputy", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))["Role"]["Arn"]
    sts = cloud.client("sts", key)
    request = {"RoleArn": arn, "RoleSessionName": "session", **({"ExternalId": condition} if condition else {})}
    if condition:
        assert sts.assume_role(**request)["Credentials"]
    else:
        assert refusal(sts.assume_role, **request)[0] == "AccessDenied"


def test_who_comes_later_is_not_who_was_named(cloud: Cloud) -> None:
    root, s3 = cloud.client("iam"), cloud.client("s3")
    s3.create_bucket(Bucket="named", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    first = user(cloud, allow("s3:ListAllMyBuckets"))
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"},
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::named",
    }
    s3.put_bucket_policy(Bucket="named", Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert cloud.client("s3", first).list_objects_v2(Bucket="named")["KeyCount"] == 0
    identifier = root.get_user(UserName="ada")["User"]["UserId"]
    root.delete_access_key(UserName="ada", AccessKeyId=first["AccessKeyId"])
    root.delete_user_policy(UserName="ada", PolicyName="own")
    root.delete_user(UserName="ada")
    assert (
        refusal(cloud.client("s3", user(cloud, allow("s3:ListAllMyBuckets"))).list_objects_v2, Bucket="named")[0]
        == "AccessDenied"
    )
    stored = json.loads(s3.get_bucket_policy(Bucket="named")["Policy"])
    assert stored["Statement"]["Principal"] == {"AWS": identifier}


def test_root_is_never_locked_out_of_a_bucket(cloud: Cloud) -> None:
    s3, bucket = cloud.client("s3"), "never-locked-out"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert refusal(s3.list_objects_v2, Bucket=bucket)[0] == "AccessDenied"
    ada = cloud.client("s3", user(cloud, allow("s3:*")))
    assert refusal(ada.delete_bucket_policy, Bucket=bucket)[0] == "AccessDenied"
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_bucket_policy_may_name_the_account_by_its_canonical_id(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="canonical", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    owner = s3.list_buckets()["Owner"]["ID"]
    statement = {
        "Effect": "Deny",
        "Principal": {"CanonicalUser": owner},
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::canonical",
    }
    s3.put_bucket_policy(Bucket="canonical", Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert (
        refusal(cloud.client("s3", user(cloud, allow("s3:*"))).list_objects_v2, Bucket="canonical")[0] == "AccessDenied"
    )
    strange = {**statement, "Principal": {"CanonicalUser": "f" * 64}}
    document = json.dumps({"Version": "2012-10-17", "Statement": strange})
    assert refusal(s3.put_bucket_policy, Bucket="canonical", Policy=document)[0] == "MalformedPolicy"
