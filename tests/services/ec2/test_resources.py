"""Images, types, keys, networks, groups and tags."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from tests.services.ec2.conftest import refusal

if TYPE_CHECKING:
    from tests.services.ec2.conftest import Instances

PORT = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}


def test_the_image_says_what_it_is(ec2: Any) -> None:
    (image,) = ec2.describe_images(Filters=[{"Name": "virtualization-type", "Values": ["hvm"]}])["Images"]
    assert "not virtual machines" in image["Description"]
    assert ec2.describe_images(Owners=["999999999999"])["Images"] == []
    assert refusal(ec2.describe_images, ImageIds=["ami-1"])[0] == "InvalidAMIID.NotFound"


def test_types_tell_vcpus_and_memory(ec2: Any) -> None:
    (found,) = ec2.describe_instance_types(InstanceTypes=["m5.xlarge"])["InstanceTypes"]
    assert (found["VCpuInfo"]["DefaultVCpus"], found["MemoryInfo"]["SizeInMiB"]) == (4, 16384)
    assert refusal(ec2.describe_instance_types, InstanceTypes=["t8i.nano"])[0] == "InvalidInstanceType"
    pages = ec2.get_paginator("describe_instance_types").paginate()
    names = [each["InstanceType"] for page in pages for each in page["InstanceTypes"]]
    assert len(names) == len(set(names)) > 100
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["m5.large"]}]
    )["InstanceTypeOfferings"]
    assert {each["Location"] for each in offered} == {"eu-west-1a", "eu-west-1b", "eu-west-1c"}


def test_an_rsa_key_pair_opens_what_it_closes(ec2: Any) -> None:
    made = ec2.create_key_pair(KeyName="rsa")
    key = load_pem_private_key(made["KeyMaterial"].encode(), None)
    content = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    digest = hashlib.sha1(content).hexdigest()
    assert made["KeyFingerprint"].replace(":", "") == digest
    (told,) = ec2.describe_key_pairs(KeyNames=["rsa"], IncludePublicKey=True)["KeyPairs"]
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert told["PublicKey"] == f"{public} rsa"
    assert refusal(ec2.create_key_pair, KeyName="rsa")[0] == "InvalidKeyPair.Duplicate"


def test_an_ed25519_key_pair_can_be_read(ec2: Any) -> None:
    made = ec2.create_key_pair(KeyName="ed", KeyType="ed25519")
    assert isinstance(load_ssh_private_key(made["KeyMaterial"].encode(), None), ed25519.Ed25519PrivateKey)


def test_keys_are_imported_and_deleted(ec2: Any) -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    made = ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=public)
    assert refusal(ec2.import_key_pair, KeyName="bad", PublicKeyMaterial=b"x")[0] == "InvalidKey.Format"
    assert ec2.delete_key_pair(KeyPairId=made["KeyPairId"])["Return"] is True
    assert ec2.delete_key_pair(KeyName="mine")["Return"] is True
    assert refusal(ec2.describe_key_pairs, KeyNames=["mine"])[0] == "InvalidKeyPair.NotFound"


def test_there_is_a_default_network(ec2: Any) -> None:
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert [each["CidrBlock"] for each in subnets] == ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]
    zones = {each["ZoneName"]: each["ZoneId"] for each in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert zones["eu-west-1b"] == "euw1-az2"
    assert {each["RegionName"] for each in ec2.describe_regions()["Regions"]} == {"us-east-1", "eu-west-1"}
    attributes = ec2.describe_account_attributes(AttributeNames=["default-vpc"])["AccountAttributes"]
    assert attributes[0]["AttributeValues"][0]["AttributeValue"] == vpc["VpcId"]


def test_rules_of_a_group_come_and_go(ec2: Any) -> None:
    group = ec2.create_security_group(GroupName="web", Description="for the web")["GroupId"]
    assert refusal(ec2.create_security_group, GroupName="web", Description="x")[0] == "InvalidGroup.Duplicate"
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[PORT])
    code, _ = refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[PORT])
    assert code == "InvalidPermission.Duplicate"
    ec2.authorize_security_group_ingress(
        GroupName="web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="192.168.0.0/16"
    )
    (told,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    (permission,) = told["IpPermissions"]
    assert [each["CidrIp"] for each in permission["IpRanges"]] == ["10.0.0.0/8", "192.168.0.0/16"]
    assert told["IpPermissionsEgress"][0]["IpProtocol"] == "-1"
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[PORT])
    code, _ = refusal(ec2.revoke_security_group_ingress, GroupId=group, IpPermissions=[PORT])
    assert code == "InvalidPermission.NotFound"
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert len(rules) == 2
    ec2.delete_security_group(GroupId=group)
    assert refusal(ec2.describe_security_groups, GroupIds=[group])[0] == "InvalidGroup.NotFound"


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ({**PORT, "ToPort": 70000}, "InvalidParameterValue"),
        ({**PORT, "IpRanges": [{"CidrIp": "nowhere"}]}, "InvalidParameterValue"),
        ({**PORT, "IpRanges": []}, "InvalidParameterCombination"),
        ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "MissingParameter"),
    ],
)
def test_rules_that_cannot_be_are_refused(ec2: Any, permission: dict[str, Any], code: str) -> None:
    group = ec2.create_security_group(GroupName="web", Description="for the web")["GroupId"]
    assert refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission])[0] == code


def test_a_group_in_use_stays(instances: Instances) -> None:
    ec2 = instances.ec2
    group = ec2.create_security_group(GroupName="web", Description="for the web")["GroupId"]
    name = instances.run(SecurityGroups=["web"])
    assert refusal(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    assert refusal(ec2.delete_security_group, GroupName="default")[0] == "CannotDelete"
    ec2.terminate_instances(InstanceIds=[name])
    instances.later(1)
    ec2.delete_security_group(GroupId=group)


def test_tags_are_put_on_anything_with_an_id(instances: Instances) -> None:
    ec2 = instances.ec2
    name = instances.run()
    volume = instances.describe(name)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    key = ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyPairId"]
    ec2.create_tags(Resources=[name, volume, key], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ec2.delete_tags(Resources=[name], Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    told = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [name]}])["Tags"]
    assert told == [{"ResourceType": "instance", "ResourceId": name, "Key": "a", "Value": "1"}]
    assert len(ec2.describe_tags()["Tags"]) == 5
    assert refusal(ec2.create_tags, Resources=["x-1"], Tags=[{"Key": "a"}])[0] == "InvalidID"
    code, _ = refusal(ec2.create_tags, Resources=[name], Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    assert code == "TagLimitExceeded"


def test_the_interface_of_an_instance_is_told(instances: Instances) -> None:
    name = instances.run()
    told = instances.ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [name]}])[
        "NetworkInterfaces"
    ]
    assert [each["PrivateIpAddress"] for each in told] == [instances.describe(name)["PrivateIpAddress"]]
