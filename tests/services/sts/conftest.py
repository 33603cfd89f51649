from __future__ import annotations

import json
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
