from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from clary.auth.managed import AWS_MANAGED, ManagedPolicy
from clary.services.iam.documents import refuse_malformed
from tests.services.iam.conftest import ACCOUNT, READ, TRUST, allowing, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def test_life_of_a_policy(iam: Any) -> None:
    created = iam.create_policy(PolicyName="read", PolicyDocument=READ, Path="/s3/", Description="Reads")["Policy"]
    arn = created["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/s3/read"
    assert created["PolicyId"].startswith("ANPA")
    assert (created["DefaultVersionId"], created["AttachmentCount"]) == ("v1", 0)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Description"] == "Reads"
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(READ)
    assert version["IsDefaultVersion"] is True
    assert refusal(iam.create_policy, PolicyName="read", PolicyDocument=READ) == (
        "EntityAlreadyExists",
        "A policy called read already exists. Duplicate names are not allowed.",
    )
    iam.delete_policy(PolicyArn=arn)
    assert refusal(iam.get_policy, PolicyArn=arn) == ("NoSuchEntity", f"Policy {arn} was not found.")


def test_versions(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ, SetAsDefault=True)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v5", True)
    assert refusal(iam.create_policy_version, PolicyArn=arn, PolicyDocument=READ)[0] == "LimitExceeded"
    assert refusal(iam.delete_policy_version, PolicyArn=arn, VersionId="v5") == (
        "DeleteConflict",
        "Cannot delete the default version of a policy.",
    )
    assert refusal(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v5", "v4", "v3", "v2", "v1"]
    assert [version["IsDefaultVersion"] for version in versions] == [False] * 4 + [True]
    for version in versions[:4]:
        iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    assert refusal(iam.get_policy_version, PolicyArn=arn, VersionId="v2")[0] == "NoSuchEntity"
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)["PolicyVersion"]["VersionId"] == "v6"


def statement(**members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [members]})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("no json", "Syntax errors in policy."),
        ("[]", "Syntax errors in policy."),
        ('{"Version": "2020-01-01", "Statement": []}', "Syntax errors in policy."),
        (statement(Effect="Allow", Resource="*"), "Policy statement must contain actions."),
        (statement(Effect="Allow", Action="s3:*"), "Policy statement must contain resources."),
        (statement(Effect="Permit", Action="s3:*", Resource="*"), "Syntax errors in policy."),
        (statement(Effect="Allow", Action="s3:*", Resource="b"), 'Resource b must be in ARN format or "*".'),
        (
            statement(Effect="Allow", Action="GetObject", Resource="*"),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (statement(Effect="Allow", Action="a b:c", Resource="*"), "Vendor a b is not valid"),
        (
            statement(Effect="Allow", Action="*", Resource="*", Principal="*"),
            "Policy document should not specify a principal.",
        ),
    ],
)
def test_malformed_documents(iam: Any, document: str, message: str) -> None:
    expected = ("MalformedPolicyDocument", message)
    assert refusal(iam.create_policy, PolicyName="p", PolicyDocument=document) == expected
    iam.create_user(UserName="ada")
    assert refusal(iam.put_user_policy, UserName="ada", PolicyName="p", PolicyDocument=document) == expected


def test_long_documents(iam: Any) -> None:
    document = allowing([f"s3:Get{'x' * 100}{number}" for number in range(70)])
    assert refusal(iam.create_policy, PolicyName="p", PolicyDocument=document) == (
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
    )


def test_long_inline_policies(iam: Any) -> None:
    iam.create_user(UserName="ada")
    document = allowing([f"s3:Get{'x' * 100}{number}" for number in range(10)])
    iam.put_user_policy(UserName="ada", PolicyName="one", PolicyDocument=document)
    assert refusal(iam.put_user_policy, UserName="ada", PolicyName="two", PolicyDocument=document) == (
        "LimitExceeded",
        "Maximum policy size of 2048 bytes exceeded for user ada",
    )
    iam.put_user_policy(UserName="ada", PolicyName="one", PolicyDocument=document)


@pytest.mark.parametrize(
    ("kind", "make"),
    [("user", {}), ("group", {}), ("role", {"AssumeRolePolicyDocument": TRUST})],
)
def test_inline_and_attached(iam: Any, kind: str, make: dict[str, str]) -> None:
    name = {f"{kind.title()}Name": "x"}
    getattr(iam, f"create_{kind}")(**name, **make)
    getattr(iam, f"put_{kind}_policy")(**name, PolicyName="inline", PolicyDocument=READ)
    found = getattr(iam, f"get_{kind}_policy")(**name, PolicyName="inline")
    assert found["PolicyDocument"] == json.loads(READ)
    assert getattr(iam, f"list_{kind}_policies")(**name)["PolicyNames"] == ["inline"]
    getattr(iam, f"delete_{kind}_policy")(**name, PolicyName="inline")
    assert refusal(getattr(iam, f"get_{kind}_policy"), **name, PolicyName="inline") == (
        "NoSuchEntity",
        f"The {kind} policy with name inline cannot be found.",
    )
    getattr(iam, f"attach_{kind}_policy")(**name, PolicyArn=ADMINISTRATOR)
    getattr(iam, f"attach_{kind}_policy")(**name, PolicyArn=ADMINISTRATOR)
    attached = getattr(iam, f"list_attached_{kind}_policies")(**name)["AttachedPolicies"]
    assert attached == [{"PolicyName": "AdministratorAccess", "PolicyArn": ADMINISTRATOR}]
    entities = iam.list_entities_for_policy(PolicyArn=ADMINISTRATOR)[f"Policy{kind.title()}s"]
    assert entities[0][f"{kind.title()}Name"] == "x"
    getattr(iam, f"detach_{kind}_policy")(**name, PolicyArn=ADMINISTRATOR)
    assert refusal(getattr(iam, f"detach_{kind}_policy"), **name, PolicyArn=ADMINISTRATOR) == (
        "NoSuchEntity",
        f"Policy {ADMINISTRATOR} was not found.",
    )
    no_arn = refusal(getattr(iam, f"attach_{kind}_policy"), **name, PolicyArn="longpolicynamebutnoarn")
    assert no_arn == ("ValidationError", "Invalid ARN:  Could not be parsed!")
    unknown = f"arn:aws:iam::{ACCOUNT}:policy/none"
    assert refusal(getattr(iam, f"attach_{kind}_policy"), **name, PolicyArn=unknown) == (
        "NoSuchEntity",
        f"Policy {unknown} does not exist or is not attachable.",
    )


def test_attached_policy_stays(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]
    iam.create_user(UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert refusal(iam.delete_policy, PolicyArn=arn) == (
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    )
    local = iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]
    assert [policy["Arn"] for policy in local] == [arn]


def test_policies_of_aws(iam: Any) -> None:
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS")
    names = {policy["PolicyName"] for page in pages for policy in page["Policies"]}
    assert len(names) > 60
    assert {"AdministratorAccess", "AmazonSageMakerFullAccess", "AmazonS3FullAccess", "ReadOnlyAccess"} <= names
    found = iam.get_policy(PolicyArn=ADMINISTRATOR)["Policy"]
    version = iam.get_policy_version(PolicyArn=ADMINISTRATOR, VersionId=found["DefaultVersionId"])["PolicyVersion"]
    assert version["Document"]["Statement"][0]["Action"] in ("*", ["*"])
    assert refusal(iam.delete_policy, PolicyArn=ADMINISTRATOR)[0] == "UnmodifiableEntity"


@pytest.mark.parametrize("policy", AWS_MANAGED.values(), ids=lambda policy: policy.name)
def test_every_policy_of_aws_is_one(policy: ManagedPolicy) -> None:
    refuse_malformed(policy.document)
    assert policy.description


def test_policies_for_jobs_of_people(cloud: Cloud, iam: Any) -> None:
    found = iam.list_policies(Scope="AWS", PathPrefix="/job-function/")["Policies"]
    assert {"DataScientist", "SystemAdministrator", "Billing", "ViewOnlyAccess"} <= {
        each["PolicyName"] for each in found
    }
    iam.create_user(UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/job-function/ViewOnlyAccess")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    assert cloud.client("iam", key).list_users()["Users"]
    assert refusal(cloud.client("iam", key).create_user, UserName="bob")[0] == "AccessDenied"


def test_entities_by_what_they_use_a_policy_for(iam: Any) -> None:
    iam.create_user(UserName="has")
    iam.attach_user_policy(UserName="has", PolicyArn=ADMINISTRATOR)
    iam.create_user(UserName="limited", PermissionsBoundary=ADMINISTRATOR)

    def names(**usage: str) -> list[str]:
        found = iam.list_entities_for_policy(PolicyArn=ADMINISTRATOR, **usage)["PolicyUsers"]
        return [user["UserName"] for user in found]

    assert names() == ["has", "limited"]
    assert names(PolicyUsageFilter="PermissionsPolicy") == ["has"]
    assert names(PolicyUsageFilter="PermissionsBoundary") == ["limited"]


def test_names_are_taken_in_capitals_or_not(iam: Any) -> None:
    iam.create_user(UserName="Ada")
    taken = ("EntityAlreadyExists", "User with name ADA already exists.")
    assert refusal(iam.create_user, UserName="ADA") == taken
    iam.create_user(UserName="bob")
    assert refusal(iam.update_user, UserName="bob", NewUserName="ADA") == taken
    iam.update_user(UserName="Ada", NewUserName="ADA")
    iam.create_group(GroupName="Ada")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)
    assert refusal(iam.create_role, RoleName="Worker", AssumeRolePolicyDocument=TRUST)[0] == "EntityAlreadyExists"


def test_new_version_takes_effect(cloud: Cloud, iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allowing("iam:ListUsers"))["Policy"]["Arn"]
    iam.create_user(UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn=arn)
    own = cloud.client("iam", iam.create_access_key(UserName="ada")["AccessKey"])
    assert own.list_users()["Users"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allowing("iam:ListRoles"), SetAsDefault=True)
    code, message = refusal(own.list_users)
    assert code == "AccessDenied"
    assert message.startswith(f"User: arn:aws:iam::{ACCOUNT}:user/ada is not authorized to perform: iam:ListUsers ")
    assert message.endswith(" because no identity-based policy allows the iam:ListUsers action")


def test_account(iam: Any) -> None:
    iam.create_account_alias(AccountAlias="first")
    iam.create_account_alias(AccountAlias="second")
    assert iam.list_account_aliases()["AccountAliases"] == ["second"]
    iam.delete_account_alias(AccountAlias="second")
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_user(UserName="ada")
    summary = iam.get_account_summary()["SummaryMap"]
    assert (summary["Users"], summary["Roles"], summary["VersionsPerPolicyQuota"]) == (1, 0, 5)


def test_authorization_details(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=READ)["Policy"]["Arn"]
    iam.create_group(GroupName="staff")
    iam.create_user(UserName="ada")
    iam.add_user_to_group(GroupName="staff", UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn=ADMINISTRATOR)
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="worker", PolicyName="inline", PolicyDocument=READ)
    details = iam.get_account_authorization_details()
    assert details["UserDetailList"][0]["GroupList"] == ["staff"]
    assert details["UserDetailList"][0]["AttachedManagedPolicies"][0]["PolicyArn"] == ADMINISTRATOR
    assert details["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"] == json.loads(READ)
    assert [policy["Arn"] for policy in details["Policies"]] == [arn, ADMINISTRATOR]
    only = iam.get_account_authorization_details(Filter=["Group"])
    assert only["UserDetailList"] == []
    assert only["GroupDetailList"][0]["GroupName"] == "staff"
