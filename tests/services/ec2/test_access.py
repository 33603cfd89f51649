"""Policies about what EC2's requests and resources say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud
    from tests.services.ec2.conftest import Instances


def may(cloud: Cloud, instances: Instances, statement: dict[str, Any]) -> bool:
    """Whether a user who may do all, but for this, may launch an instance."""
    iam = cloud.client("iam")
    iam.create_user(UserName="ana")
    everything = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything, {"Effect": "Deny", **statement}]})
    iam.put_user_policy(UserName="ana", PolicyName="p", PolicyDocument=document)
    client = cloud.client("ec2", iam.create_access_key(UserName="ana")["AccessKey"])
    instances.ec2.describe_subnets()  # brings the network of the account about
    with pytest.raises(ClientError) as caught:
        client.run_instances(
            ImageId=instances.image,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            MetadataOptions={"HttpTokens": "required"},
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Owner", "Value": "ana"}]}],
            DryRun=True,
        )
    code: str = caught.value.response["Error"]["Code"]
    assert code in ("DryRunOperation", "UnauthorizedOperation")
    return code == "DryRunOperation"


@pytest.mark.parametrize(
    ("resource", "condition", "allowed"),
    [
        ("instance/*", {"StringNotEquals": {"ec2:InstanceType": "t3.small"}}, True),
        ("instance/*", {"StringNotEquals": {"ec2:InstanceType": "t3.micro"}}, False),
        ("instance/*", {"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}}, True),
        ("instance/*", {"StringEquals": {"ec2:MetadataHttpTokens": "required"}}, False),
        ("instance/*", {"StringNotEquals": {"aws:RequestTag/Owner": "ana"}}, True),
        ("instance/*", {"Null": {"aws:RequestTag/Project": "true"}}, False),
        ("*", {"StringEquals": {"ec2:Region": "eu-west-1"}}, False),
        ("*", {"StringNotEquals": {"ec2:Region": "eu-west-1"}}, True),
        ("subnet/*", {"Null": {"ec2:VpcID": "true"}}, True),
        ("subnet/*", {"StringLike": {"ec2:VpcID": "vpc-*"}}, False),
        ("security-group/*", {"StringLike": {"ec2:VpcID": "vpc-*"}}, False),
        ("volume/*", {"Null": {"ec2:VolumeSize": "false"}}, True),
    ],
)
def test_keys_of_a_launch(
    cloud: Cloud, instances: Instances, resource: str, condition: dict[str, Any], allowed: bool
) -> None:
    named = resource if resource == "*" else f"arn:aws:ec2:*:*:{resource}"
    statement = {"Action": "ec2:RunInstances", "Resource": named, "Condition": condition}
    assert may(cloud, instances, statement) is allowed


def test_tags_of_a_launch_need_a_permission(cloud: Cloud, instances: Instances) -> None:
    condition = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
    assert not may(cloud, instances, {"Action": "ec2:CreateTags", "Resource": "*", "Condition": condition})
