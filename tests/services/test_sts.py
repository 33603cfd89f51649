from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud

ACCOUNT = "123456789012"


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def trust(principal: object, action: object = "sts:AssumeRole", **more: Any) -> str:
    return document(Principal=principal, Action=action, **more)


ANYTHING = document(Action="*", Resource="*")


class People:
    """Users with keys, and roles."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.iam = cloud.client("iam")

    def user(self, name: str, policy: str = "") -> dict[str, Any]:
        """The access key of a new user."""
        self.iam.create_user(UserName=name)
        if policy:
            self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key: dict[str, Any] = self.iam.create_access_key(UserName=name)["AccessKey"]
        return key

    def role(self, name: str, trusted: str, policy: str = ANYTHING, **more: Any) -> str:
        """The ARN of a new role."""
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **more)["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return str(role["Arn"])


@pytest.fixture
def people(cloud: Cloud) -> People:
    return People(cloud)


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_caller_identity(cloud: Cloud, people: People) -> None:
    root = cloud.client("sts").get_caller_identity()
    assert (root["Account"], root["Arn"], root["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    ada = cloud.client("sts", people.user("ada")).get_caller_identity()
    assert ada["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    assert ada["UserId"].startswith("AIDA")


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


def test_session_token(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada"))
    issued = sts.get_session_token()["Credentials"]
    session = cloud.client("sts", issued)
    assert session.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    assert refusal(session.get_session_token) == (
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )


def test_access_key_info(cloud: Cloud, people: People) -> None:
    key = people.user("ada")
    assert cloud.client("sts").get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT
    assert refusal(cloud.client("sts").get_access_key_info, AccessKeyId="AKIAIOSFODNN7EXAMPLE")[0] == "ValidationError"
