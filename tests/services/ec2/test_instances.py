from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.handlers import base64_encode_user_data

from tests.services.ec2.conftest import TRUST_EC2, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud
    from tests.services.ec2.conftest import Instances


def test_an_instance_is_told_as_it_was_asked_for(instances: Instances) -> None:
    name = instances.run(
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "train"}]}],
        MetadataOptions={"HttpTokens": "optional"},
    )
    told = instances.describe(name)
    assert re.fullmatch(r"i-[0-9a-f]{17}", name)
    assert told["State"] == {"Code": 16, "Name": "running"}
    assert told["InstanceType"] == "t3.small"
    assert told["Tags"] == [{"Key": "Name", "Value": "train"}]
    assert told["MetadataOptions"]["HttpTokens"] == "optional"
    assert told["PrivateIpAddress"].startswith("172.31.")
    assert told["SecurityGroups"][0]["GroupName"] == "default"
    assert told["Placement"]["AvailabilityZone"] == "eu-west-1a"
    volume = told["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    found = instances.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    assert found["Attachments"][0]["InstanceId"] == name


def test_one_reservation_holds_all_instances_of_a_call(instances: Instances) -> None:
    asked = instances.ec2.run_instances(ImageId=instances.image, MinCount=1, MaxCount=3)
    assert [each["AmiLaunchIndex"] for each in asked["Instances"]] == [0, 1, 2]
    assert len({each["PrivateIpAddress"] for each in asked["Instances"]}) == 3
    told = instances.ec2.describe_instances()["Reservations"]
    assert [(each["ReservationId"], len(each["Instances"])) for each in told] == [(asked["ReservationId"], 3)]


def test_a_repeated_client_token_starts_nothing_new(instances: Instances) -> None:
    asked = {"ImageId": instances.image, "MinCount": 1, "MaxCount": 1, "ClientToken": "once"}
    first, second = instances.ec2.run_instances(**asked), instances.ec2.run_instances(**asked)
    assert first["Instances"][0]["InstanceId"] == second["Instances"][0]["InstanceId"]
    assert refusal(instances.ec2.run_instances, **{**asked, "MaxCount": 2})[0] == "IdempotentParameterMismatch"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "image"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "p5.48xlarge"}, "InsufficientInstanceCapacity"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
        ({"SecurityGroups": ["none"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ({"SubnetId": "subnet"}, "InvalidSubnetID.Malformed"),
        ({"IamInstanceProfile": {"Name": "none"}}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "a", "Arn": "b"}}, "InvalidParameterCombination"),
        ({"MinCount": 0}, "InvalidParameterValue"),
        ({"MinCount": 2}, "InvalidParameterCombination"),
        ({"MinCount": 100, "MaxCount": 100}, "InstanceLimitExceeded"),
        ({"UserData": "x" * 20000}, "InvalidParameterValue"),
        ({"Placement": {"AvailabilityZone": "mars-1a"}}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateName": "x"}}, "Unsupported"),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "Unsupported"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}]}, "Unsupported"),
        ({"PrivateIpAddress": "10.0.0.1"}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroupIds": ["sg-1"]}, "InvalidParameterCombination"),
        ({"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:x"}]}]}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    instances: Instances, change: dict[str, Any], code: str
) -> None:
    asked = {"ImageId": instances.image, "MinCount": 1, "MaxCount": 1, **change}
    assert refusal(instances.ec2.run_instances, **asked)[0] == code
    assert instances.ec2.describe_instances()["Reservations"] == []
    assert instances.ec2.describe_volumes()["Volumes"] == []


def test_user_data_must_be_base64(cloud: Cloud, instances: Instances) -> None:
    client = cloud.client("ec2")
    # botocore encodes by itself; other clients do not.
    client.meta.events.unregister("before-parameter-build.ec2.RunInstances", base64_encode_user_data)
    code, _ = refusal(client.run_instances, ImageId=instances.image, MinCount=1, MaxCount=1, UserData="#!/bin/sh")
    assert code == "InvalidUserData.Malformed"


def test_filters_choose_instances(instances: Instances) -> None:
    tag = [{"ResourceType": "instance", "Tags": [{"Key": "Role", "Value": "train-1"}]}]
    first, second = instances.run(TagSpecifications=tag), instances.run(InstanceType="m5.large")

    def found(**filters: str) -> list[str]:
        asked = [
            {"Name": name.replace("__", ":").replace("_", "-"), "Values": [value]} for name, value in filters.items()
        ]
        pages = instances.ec2.get_paginator("describe_instances").paginate(Filters=asked)
        return [each["InstanceId"] for page in pages for group in page["Reservations"] for each in group["Instances"]]

    assert found(tag__Role="train-*") == [first]
    assert found(instance_type="m5.*") == [second]
    assert found(instance_state_name="running") == [first, second]
    assert found(instance_state_name="running", instance_id=second) == [second]
    assert found(tag_key="Role") == [first]
    assert found(instance_type="t3.smal") == []
    code, message = refusal(instances.ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["red"]}])
    assert (code, message) == ("InvalidParameterValue", "The filter 'colour' is invalid")


def test_pages_join_to_the_whole(instances: Instances) -> None:
    names = [instances.run() for _ in range(5)]
    pages = list(instances.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 2}))
    assert len(pages) == 3
    told = [each["InstanceId"] for page in pages for group in page["Reservations"] for each in group["Instances"]]
    assert told == names
    assert refusal(instances.ec2.describe_instances, NextToken="x")[0] == "InvalidNextToken"


def test_missing_and_malformed_ids(instances: Instances) -> None:
    describe = instances.ec2.describe_instances
    one, two = "i-00000000000000000", "i-11111111111111111"
    missing = "InvalidInstanceID.NotFound"
    assert refusal(describe, InstanceIds=[one]) == (missing, f"The instance ID '{one}' does not exist")
    assert refusal(describe, InstanceIds=[one, two]) == (missing, f"The instance IDs '{one}, {two}' do not exist")
    assert refusal(describe, InstanceIds=["i-x"])[0] == "InvalidInstanceID.Malformed"


def test_status_tells_running_instances_unless_all_are_asked_for(instances: Instances) -> None:
    running, stopped = instances.run(), instances.run()
    instances.ec2.stop_instances(InstanceIds=[stopped])
    instances.later(1)
    told = instances.ec2.describe_instance_status()["InstanceStatuses"]
    assert [(each["InstanceId"], each["InstanceStatus"]["Status"]) for each in told] == [(running, "ok")]
    assert len(instances.ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]) == 2


def test_launching_with_a_role_needs_permission_to_pass_it(cloud: Cloud, instances: Instances) -> None:
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="on-instance", AssumeRolePolicyDocument=TRUST_EC2)["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="profile")
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="on-instance")
    iam.create_user(UserName="ana")
    client = cloud.client("ec2", iam.create_access_key(UserName="ana")["AccessKey"])
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}%s]}'
    asked = {"ImageId": instances.image, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": "profile"}}

    assert refusal(client.run_instances, **asked)[0] == "UnauthorizedOperation"
    iam.put_user_policy(UserName="ana", PolicyName="p", PolicyDocument=policy % "")
    code, message = refusal(client.run_instances, **asked)
    assert code == "UnauthorizedOperation"
    assert "iam:PassRole" in message
    passing = f',{{"Effect":"Allow","Action":"iam:PassRole","Resource":"{role}"}}'
    iam.put_user_policy(UserName="ana", PolicyName="p", PolicyDocument=policy % passing)
    assert client.run_instances(**asked)["Instances"][0]["IamInstanceProfile"]["Arn"].endswith("/profile")


def test_a_policy_may_allow_only_some_instances(cloud: Cloud, instances: Instances) -> None:
    tag = [{"ResourceType": "instance", "Tags": [{"Key": "Owner", "Value": "ana"}]}]
    own, other = instances.run(TagSpecifications=tag), instances.run()
    iam = cloud.client("iam")
    iam.create_user(UserName="ana")
    document = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:StopInstances","Resource":"*",'
        '"Condition":{"StringEquals":{"aws:ResourceTag/Owner":"ana"}}}]}'
    )
    iam.put_user_policy(UserName="ana", PolicyName="p", PolicyDocument=document)
    client = cloud.client("ec2", iam.create_access_key(UserName="ana")["AccessKey"])
    assert refusal(client.stop_instances, InstanceIds=[own, other])[0] == "UnauthorizedOperation"
    assert instances.state(own) == "running"
    assert client.stop_instances(InstanceIds=[own])["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
