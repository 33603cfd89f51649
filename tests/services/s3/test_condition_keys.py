from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from clary.services.s3.grants import SWITCHES
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

BUCKET = "conditions"


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    location = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location, ObjectOwnership="ObjectWriter")
    client.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(SWITCHES, False))
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=BUCKET, Key="k", Tagging="class=secret")
    return client


def deny(s3: Any, operator: str, key: str, value: str) -> None:
    """Denies everything about the bucket and its objects where the condition holds, save lifting it again."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "NotAction": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        "Condition": {operator: {key: value}},
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))


@pytest.mark.parametrize(
    ("key", "value", "operation", "arguments"),
    [
        ("s3:ExistingObjectTag/class", "secret", "get_object", {"Key": "k"}),
        ("s3:RequestObjectTag/class", "secret", "put_object", {"Key": "n", "Tagging": "class=secret"}),
        (
            "s3:RequestObjectTag/class",
            "secret",
            "put_object_tagging",
            {"Key": "k", "Tagging": {"TagSet": [{"Key": "class", "Value": "secret"}]}},
        ),
        ("s3:RequestObjectTagKeys", "class", "put_object", {"Key": "n", "Tagging": "class=open"}),
        ("s3:prefix", "a/", "list_objects_v2", {"Prefix": "a/"}),
        ("s3:delimiter", "/", "list_objects_v2", {"Delimiter": "/"}),
        ("s3:max-keys", "7", "list_objects_v2", {"MaxKeys": 7}),
        ("s3:x-amz-acl", "public-read", "put_object", {"Key": "n", "ACL": "public-read"}),
        ("s3:x-amz-storage-class", "GLACIER", "put_object", {"Key": "n", "StorageClass": "GLACIER"}),
        ("s3:x-amz-server-side-encryption", "AES256", "put_object", {"Key": "n", "ServerSideEncryption": "AES256"}),
        ("s3:x-amz-metadata-directive", "REPLACE", "copy_object", {"Key": "n", "MetadataDirective": "REPLACE"}),
        ("s3:signatureversion", "AWS4-HMAC-SHA256", "head_object", {"Key": "k"}),
        ("s3:authType", "REST-HEADER", "head_object", {"Key": "k"}),
        ("s3:ResourceAccount", "123456789012", "get_bucket_versioning", {}),
    ],
)
def test_a_condition_on_a_key_holds(s3: Any, key: str, value: str, operation: str, arguments: dict[str, Any]) -> None:
    if operation == "copy_object":
        arguments = {**arguments, "CopySource": f"{BUCKET}/k"}
    call = getattr(s3, operation)
    deny(s3, "StringEquals", key, f"{value}-not")
    call(Bucket=BUCKET, **arguments)
    deny(s3, "StringEquals", key, value)
    assert error_of(call, Bucket=BUCKET, **arguments)["Status"] == 403


def test_the_version_is_a_key(s3: Any) -> None:
    first = s3.head_object(Bucket=BUCKET, Key="k")["VersionId"]
    second = s3.put_object(Bucket=BUCKET, Key="k")["VersionId"]
    deny(s3, "StringEquals", "s3:VersionId", first)
    assert error_of(s3.head_object, Bucket=BUCKET, Key="k", VersionId=first)["Status"] == 403
    assert s3.head_object(Bucket=BUCKET, Key="k", VersionId=second)


def test_old_signatures_can_be_denied(s3: Any) -> None:
    deny(s3, "NumericGreaterThan", "s3:signatureAge", "600000")
    assert s3.head_object(Bucket=BUCKET, Key="k")
    deny(s3, "NumericGreaterThanEquals", "s3:signatureAge", "0")
    assert error_of(s3.head_object, Bucket=BUCKET, Key="k")["Status"] == 403


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Version": "2020-01-01"}, "The policy must contain a valid version string"),
        ({"Statement": []}, "Statement is empty"),
        ({"Action": "ec2:RunInstances"}, "Policy has invalid action"),
        ({"Resource": "arn:aws:s3:::another/*"}, "Policy has invalid resource"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/nobody"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "nonsense"}}, "Invalid principal in policy"),
        ({"Effect": "Maybe"}, "Invalid effect: Maybe"),
        ({"Colour": "red"}, "Unknown field Colour"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Condition": {"StringSomething": {"s3:prefix": "a"}}}, "Invalid Condition type : StringSomething."),
    ],
)
def test_malformed_policies(s3: Any, change: dict[str, Any], message: str) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": statement}
    for name, value in change.items():
        place = document if name in document else statement
        if value is None:
            del place[name]
        else:
            place[name] = value
    error = error_of(s3.put_bucket_policy, Bucket=BUCKET, Policy=json.dumps(document))
    assert error["Code"] == "MalformedPolicy"
    assert message in error["Message"]


@pytest.mark.parametrize(
    ("principal", "condition", "public"),
    [
        ("*", None, True),
        ({"AWS": "*"}, None, True),
        ({"AWS": "111111111111"}, None, False),
        ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ("*", {"StringLike": {"aws:PrincipalOrgID": "o-*"}}, True),
        ("*", {"StringEquals": {"aws:SourceVpc": "vpc-1"}}, False),
        ("*", {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}, True),
        ("*", {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
        ("*", {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True),
        ("*", {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/1"]}}, True),
        ("*", {"StringLike": {"aws:userid": "AROAEXAMPLE:*"}}, False),
        ("*", {"StringEquals": {"aws:username": "${aws:userid}"}}, True),
        ("*", {"StringEquals": {"s3:prefix": "a"}}, True),
    ],
)
def test_the_meaning_of_public(s3: Any, principal: Any, condition: Any, public: bool) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        **({"Condition": condition} if condition else {}),
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is public
