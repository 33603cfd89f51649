from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.iam.conftest import ACCOUNT, READ, TRUST, allowing, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_life_of_a_role(iam: Any) -> None:
    created = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST, Description="Works", Path="/jobs/")[
        "Role"
    ]
    assert created["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/jobs/worker"
    assert created["RoleId"].startswith("AROA")
    assert "MaxSessionDuration" not in created
    assert created["AssumeRolePolicyDocument"] == json.loads(TRUST)
    role = iam.get_role(RoleName="worker")["Role"]
    assert role["MaxSessionDuration"] == 3600
    assert role["RoleLastUsed"] == {}
    assert role["Description"] == "Works"
    iam.update_role(RoleName="worker", Description="Rests", MaxSessionDuration=7200)
    role = iam.list_roles()["Roles"][0]
    assert (role["Description"], role["MaxSessionDuration"]) == ("Rests", 7200)
    assert refusal(iam.create_role, RoleName="worker", AssumeRolePolicyDocument=TRUST) == (
        "EntityAlreadyExists",
        "Role with name worker already exists.",
    )
    iam.delete_role(RoleName="worker")
    assert refusal(iam.get_role, RoleName="worker") == ("NoSuchEntity", "The role with name worker cannot be found.")


def trust(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("no json", "This policy contains invalid Json"),
        ("{}", "Syntax errors in policy."),
        (trust(Action="sts:AssumeRole"), "Missing required field Principal"),
        (trust(Principal="*"), "Missing required field Action"),
        (trust(Principal="*", Action="sts:AssumeRole", Resource="*"), "Has prohibited field Resource"),
        (trust(Principal="*", Action="s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (
            trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"}, Action="sts:AssumeRole"),
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:user/nobody"',
        ),
        (trust(Principal={"AWS": "ada"}, Action="sts:AssumeRole"), 'Invalid principal in policy: "AWS":"ada"'),
    ],
)
def test_malformed_trust(iam: Any, document: str, message: str) -> None:
    refused = refusal(iam.create_role, RoleName="worker", AssumeRolePolicyDocument=document)
    assert refused == ("MalformedPolicyDocument", message)


def test_update_trust(iam: Any) -> None:
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)
    document = trust(Principal={"AWS": ACCOUNT}, Action="sts:AssumeRole")
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=document)
    assert iam.get_role(RoleName="worker")["Role"]["AssumeRolePolicyDocument"] == json.loads(document)


def test_role_last_used(cloud: Cloud, iam: Any) -> None:
    iam.create_user(UserName="ada")
    document = trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"}, Action="sts:AssumeRole")
    arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    sts = cloud.client("sts", iam.create_access_key(UserName="ada")["AccessKey"])
    session = sts.assume_role(RoleArn=arn, RoleSessionName="job")["Credentials"]
    cloud.client("sts", session).get_caller_identity()
    assert iam.get_role(RoleName="worker")["Role"]["RoleLastUsed"]["Region"] == "eu-west-1"


def test_longest_session_has_a_limit(iam: Any) -> None:
    code, message = refusal(
        iam.create_role, RoleName="worker", AssumeRolePolicyDocument=TRUST, MaxSessionDuration=43201
    )
    assert code in ("ValidationError", "ValidationException")
    assert "43200" in message


def test_what_hangs_on_a_role_keeps_it(iam: Any) -> None:
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="worker")
    iam.attach_role_policy(RoleName="worker", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=READ)
    assert refusal(iam.delete_role, RoleName="worker") == (
        "DeleteConflict",
        "Cannot delete entity, must remove roles from instance profile first.",
    )
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="worker")
    assert refusal(iam.delete_role, RoleName="worker")[1] == "Cannot delete entity, must detach all policies first."
    iam.detach_role_policy(RoleName="worker", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert refusal(iam.delete_role, RoleName="worker")[1] == "Cannot delete entity, must delete policies first."
    iam.delete_role_policy(RoleName="worker", PolicyName="p")
    iam.delete_role(RoleName="worker")


def test_instance_profiles(iam: Any) -> None:
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]
    profile = iam.create_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert profile["InstanceProfileId"].startswith("AIPA")
    assert profile["Roles"] == []
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="worker")
    assert refusal(iam.add_role_to_instance_profile, InstanceProfileName="p", RoleName="worker")[0] == "LimitExceeded"
    found = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert found["Roles"][0]["Arn"] == role["Arn"]
    assert iam.list_instance_profiles_for_role(RoleName="worker")["InstanceProfiles"] == [found]
    assert iam.list_instance_profiles()["InstanceProfiles"] == [found]
    assert refusal(iam.delete_instance_profile, InstanceProfileName="p")[0] == "DeleteConflict"
    assert refusal(iam.get_instance_profile, InstanceProfileName="q") == (
        "NoSuchEntity",
        "Instance Profile q cannot be found.",
    )


def test_pass_role_is_checked(cloud: Cloud, iam: Any) -> None:
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]
    iam.create_instance_profile(InstanceProfileName="p")
    iam.create_user(UserName="ada")
    iam.put_user_policy(
        UserName="ada",
        PolicyName="p",
        PolicyDocument=allowing("iam:AddRoleToInstanceProfile", "arn:aws:iam::*:instance-profile/p"),
    )
    own = cloud.client("iam", iam.create_access_key(UserName="ada")["AccessKey"])
    code, message = refusal(own.add_role_to_instance_profile, InstanceProfileName="p", RoleName="worker")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: iam:PassRole on resource: {role['Arn']}" in message
    passing = allowing(
        "iam:PassRole", role["Arn"], Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    )
    iam.put_user_policy(UserName="ada", PolicyName="pass", PolicyDocument=passing)
    own.add_role_to_instance_profile(InstanceProfileName="p", RoleName="worker")
