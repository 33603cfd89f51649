"""Users, roles and policies for tests of the audit log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary.audit.explanation import Explanation, explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.store.audit import Event
    from tests.cloud import Cloud

ACCOUNT = "123456789012"
BUCKET = "arn:aws:s3:::data"
Element = dict[str, Any]


def document(*statements: Element) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resource: str = "*", **members: Any) -> Element:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **members}


def deny(*actions: str, resource: str = "*", **members: Any) -> Element:
    return {**allow(*actions, resource=resource, **members), "Effect": "Deny"}


def user(cloud: Cloud, name: str, *statements: Element) -> dict[str, Any]:
    """The access key of a new user with an inline policy."""
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
    keys: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return keys


def role(cloud: Cloud, name: str, principal: Any, *statements: Element) -> str:
    """The ARN of a new role."""
    iam = cloud.client("iam")
    trust = document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return arn


def bucket(cloud: Cloud, name: str = "data") -> Any:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=name, Key="a/x.csv", Body=b"1")
    return s3


def event_of(cloud: Cloud, response: dict[str, Any]) -> Event:
    event = cloud.parts.platform.audit.get(response["ResponseMetadata"]["RequestId"])
    assert event is not None
    return event


def refused(cloud: Cloud, call: Callable[[], Any]) -> Explanation:
    with pytest.raises(ClientError) as caught:
        call()
    assert "AccessDenied" in caught.value.response["Error"]["Code"]
    return explain(event_of(cloud, caught.value.response), cloud.parts.platform.records)
