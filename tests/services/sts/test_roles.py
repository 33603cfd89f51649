from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.services.sts.conftest import ACCOUNT, ANYTHING, People, document, refusal, trust

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_assume_role(cloud: Cloud, people: People) -> None:
    key = people.user("ada", document(Action="sts:AssumeRole", Resource="*"))
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    answer = cloud.client("sts", key).assume_role(RoleArn=arn, RoleSessionName="job")
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/job"
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    session = cloud.client("sts", answer["Credentials"])
    assert session.get_caller_identity()["UserId"].endswith(":job")
    assert session.get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert cloud.client("iam", answer["Credentials"]).list_roles()["Roles"][0]["RoleName"] == "worker"


@pytest.mark.parametrize(
    ("user_policy", "principal", "allowed"),
    [
        ("", {"AWS": ACCOUNT}, False),
        ("", {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"}, True),
        (ANYTHING, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, True),
        (ANYTHING, {"Service": "sagemaker.amazonaws.com"}, False),
        (ANYTHING, {"AWS": "arn:aws:iam::999999999999:root"}, False),
    ],
)
def test_trust(cloud: Cloud, people: People, user_policy: str, principal: object, allowed: bool) -> None:
    key = people.user("ada", user_policy)
    arn = people.role("worker", trust(principal))
    sts = cloud.client("sts", key)
    if allowed:
        assert sts.assume_role(RoleArn=arn, RoleSessionName="job")["Credentials"]
        return
    user = f"arn:aws:iam::{ACCOUNT}:user/ada"
    message = f"User: {user} is not authorized to perform: sts:AssumeRole on resource: {arn}"
    code, told = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job")
    assert (code, told.startswith(message)) == ("AccessDenied", True)


def test_unknown_role_and_root(cloud: Cloud, people: People) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job")[0] == "AccessDenied"
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    assert refusal(cloud.client("sts").assume_role, RoleArn=arn, RoleSessionName="job") == (
        "AccessDenied",
        "Roles may not be assumed by root accounts.",
    )


def test_external_id(cloud: Cloud, people: People) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    arn = people.role("worker", trust({"AWS": ACCOUNT}, Condition=condition))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job")[0] == "AccessDenied"
    assert sts.assume_role(RoleArn=arn, RoleSessionName="job", ExternalId="secret")["Credentials"]


def test_durations(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}), MaxSessionDuration=7200)
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    code, message = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", DurationSeconds=7201)
    assert code == "ValidationError"
    assert message == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    issued = sts.assume_role(RoleArn=arn, RoleSessionName="job", DurationSeconds=7200)["Credentials"]
    chained = cloud.client("sts", issued)
    assert refusal(chained.assume_role, RoleArn=arn, RoleSessionName="j2", DurationSeconds=3601)[0] == "ValidationError"
    assert chained.assume_role(RoleArn=arn, RoleSessionName="j2")["Credentials"]


def test_expired_session(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    cloud.clock.shift = timedelta(minutes=-14)
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    issued = sts.assume_role(RoleArn=arn, RoleSessionName="job", DurationSeconds=900)["Credentials"]
    cloud.clock.shift = timedelta()
    assert cloud.client("sts", issued).get_caller_identity()
    cloud.clock.shift = timedelta(minutes=2)
    assert refusal(cloud.client("sts", issued).get_caller_identity) == (
        "ExpiredToken",
        "The security token included in the request is expired",
    )


def test_session_policy_and_tags(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}, ["sts:AssumeRole", "sts:TagSession"]))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    answer = sts.assume_role(
        RoleArn=arn,
        RoleSessionName="job",
        Policy=document(Action="iam:ListRoles", Resource="*"),
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}],
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    assert answer["PackedPolicySize"] > 0
    narrowed = cloud.client("iam", answer["Credentials"])
    assert narrowed.list_roles()["Roles"]
    code, message = refusal(narrowed.list_users)
    assert code == "AccessDenied"
    assert message.endswith("because no session policy allows the iam:ListUsers action")


def test_tags_need_permission(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    tags = [{"Key": "team", "Value": "blue"}]
    code, message = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", Tags=tags)
    assert code == "AccessDenied"
    assert "sts:TagSession" in message


def test_malformed_session_policy(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", Policy="{}")[0] == "MalformedPolicyDocument"


def test_session_tags_are_passed_on(cloud: Cloud, people: People) -> None:
    actions = ["sts:AssumeRole", "sts:TagSession"]
    first = people.role("first", trust({"AWS": ACCOUNT}, actions))
    tagged = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    second = people.role("second", trust({"AWS": first}, actions, Condition=tagged))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": "1"}]
    answer = sts.assume_role(RoleArn=first, RoleSessionName="job", Tags=tags, TransitiveTagKeys=["team"])
    chained = cloud.client("sts", answer["Credentials"])
    again = chained.assume_role(RoleArn=second, RoleSessionName="job")["Credentials"]
    seen = cloud.parts.platform.credentials.find(again["AccessKeyId"], again["SessionToken"])
    assert seen
    assert seen.principal.session_tags == {"team": "blue"}
    assert seen.principal.transitive_tags == ("team",)
    other = [{"Key": "Team", "Value": "red"}]
    assert refusal(chained.assume_role, RoleArn=second, RoleSessionName="job", Tags=other)[0] == "InvalidParameterValue"


def test_chained_tags_need_permission(cloud: Cloud, people: People) -> None:
    first = people.role("first", trust({"AWS": ACCOUNT}, ["sts:AssumeRole", "sts:TagSession"]))
    second = people.role("second", trust({"AWS": first}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    tags = [{"Key": "team", "Value": "blue"}]
    answer = sts.assume_role(RoleArn=first, RoleSessionName="job", Tags=tags, TransitiveTagKeys=["team"])
    chained = cloud.client("sts", answer["Credentials"])
    code, message = refusal(chained.assume_role, RoleArn=second, RoleSessionName="job")
    assert (code, "sts:TagSession" in message) == ("AccessDenied", True)


@pytest.mark.parametrize(
    ("tags", "transitive", "message"),
    [
        (["a", "A"], [], "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
        (["a"], ["b"], "The specified transitive tag key must be included in the requested tags."),
    ],
)
def test_tags_that_do_not_fit(
    cloud: Cloud, people: People, tags: list[str], transitive: list[str], message: str
) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}, ["sts:AssumeRole", "sts:TagSession"]))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    given = [{"Key": key, "Value": "1"} for key in tags]
    refused = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", Tags=given, TransitiveTagKeys=transitive)
    assert refused == ("InvalidParameterValue", message)


def test_source_identity_stays(cloud: Cloud, people: People) -> None:
    actions = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    first = people.role("first", trust({"AWS": ACCOUNT}, actions))
    second = people.role("second", trust({"AWS": first}, actions))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    answer = sts.assume_role(RoleArn=first, RoleSessionName="job", SourceIdentity="ada")
    assert answer["SourceIdentity"] == "ada"
    chained = cloud.client("sts", answer["Credentials"])
    assert chained.assume_role(RoleArn=second, RoleSessionName="job")["SourceIdentity"] == "ada"
    other = {"RoleArn": second, "RoleSessionName": "job", "SourceIdentity": "bob"}
    assert refusal(chained.assume_role, **other)[0] == "AccessDenied"


def test_packed_size(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    policy = document(Action=[f"s3:Get{number}{'x' * 40}" for number in range(60)], Resource="*")
    code, message = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", Policy=policy)
    assert code == "PackedPolicyTooLarge"
    assert message.endswith("% of allotted space, please use smaller policy.")


def test_many_managed_session_policies_fit_into_a_token(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    name = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="job", PolicyArns=[{"arn": name}] * 10)
    assert len(answer["Credentials"]["SessionToken"]) < 2000
    code, _ = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", PolicyArns=[{"arn": name}] * 11)
    assert code == "ValidationError"


def test_what_is_not_supported_is_named(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    contexts = [{"ProviderArn": "arn:aws:iam::aws:contextProvider/x", "ContextAssertion": "abcd"}]
    code, message = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job", ProvidedContexts=contexts)
    assert (code, "ProvidedContexts" in message) == ("NotImplemented", True)


def test_trust_ends_with_the_user(cloud: Cloud, people: People) -> None:
    people.user("ada")
    arn = people.role("worker", trust({"AWS": [f"arn:aws:iam::{ACCOUNT}:user/ada"]}))
    key = people.iam.list_access_keys(UserName="ada")["AccessKeyMetadata"][0]["AccessKeyId"]
    user_id = people.iam.get_user(UserName="ada")["User"]["UserId"]
    people.iam.delete_access_key(UserName="ada", AccessKeyId=key)
    people.iam.delete_user(UserName="ada")
    stored = people.iam.get_role(RoleName="worker")["Role"]["AssumeRolePolicyDocument"]
    assert stored["Statement"][0]["Principal"] == {"AWS": [user_id]}
    again = cloud.client("sts", people.user("ada", ANYTHING))
    assert refusal(again.assume_role, RoleArn=arn, RoleSessionName="job")[0] == "AccessDenied"


def test_trust_follows_a_renamed_user(cloud: Cloud, people: People) -> None:
    key = people.user("ada")
    arn = people.role("worker", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"}))
    people.iam.update_user(UserName="ada", NewUserName="lovelace")
    assert cloud.client("sts", key).assume_role(RoleArn=arn, RoleSessionName="job")["Credentials"]


def test_session_ends_with_its_role(cloud: Cloud, people: People) -> None:
    arn = people.role("worker", trust({"AWS": ACCOUNT}))
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    session = cloud.client("sts", sts.assume_role(RoleArn=arn, RoleSessionName="job")["Credentials"])
    assert session.get_caller_identity()
    people.iam.delete_role_policy(RoleName="worker", PolicyName="p")
    people.iam.delete_role(RoleName="worker")
    assert refusal(session.get_caller_identity)[0] == "InvalidClientTokenId"


@pytest.mark.parametrize(
    "arn",
    [
        "nothing-valid-in-here",
        "arn::b:::something/test-role",
        "arn:a::::something/test-role",
        "arn:a:::something/test-role",
        "arn:a:a::aaaaaaaaaa:",
    ],
)
def test_what_is_no_arn(cloud: Cloud, people: People, arn: str) -> None:
    sts = cloud.client("sts", people.user("ada"))
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="job") == ("ValidationError", f"{arn} is invalid")
