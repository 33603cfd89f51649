from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.server import ClaryServer

RULE = {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.com"], "AllowedHeaders": ["x-*"]}

SETTINGS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("bucket_cors", {"CORSConfiguration": {"CORSRules": [RULE]}}, {"CORSRules": [RULE]}, "NoSuchCORSConfiguration"),
    (
        "bucket_website",
        {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}},
        {"IndexDocument": {"Suffix": "index.html"}},
        "NoSuchWebsiteConfiguration",
    ),
    (
        "bucket_ownership_controls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        "OwnershipControlsNotFoundError",
    ),
    (
        "bucket_tagging",
        {"Tagging": {"TagSet": [{"Key": "a", "Value": "1"}]}},
        {"TagSet": [{"Key": "a", "Value": "1"}]},
        "NoSuchTagSet",
    ),
]


@pytest.mark.parametrize(("name", "put", "told", "absent"), SETTINGS, ids=[each[0] for each in SETTINGS])
def test_a_setting_is_told_until_it_is_deleted(
    s3: Any, bucket: str, name: str, put: dict[str, Any], told: dict[str, Any], absent: str
) -> None:
    getattr(s3, f"put_{name}")(Bucket=bucket, **put)
    got = getattr(s3, f"get_{name}")(Bucket=bucket)
    assert {member: got[member] for member in told} == told
    getattr(s3, f"delete_{name}")(Bucket=bucket)
    error = error_of(getattr(s3, f"get_{name}"), Bucket=bucket)
    assert (error["Code"], error["Status"]) == (absent, 404)


def test_a_lifecycle_is_told(s3: Any, bucket: str) -> None:
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert error_of(s3.get_bucket_lifecycle_configuration, Bucket=bucket)["Code"] == "NoSuchLifecycleConfiguration"


def test_a_new_bucket_is_as_on_aws(s3: Any, bucket: str) -> None:
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert len(block) == 4
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    for absent in ("get_bucket_logging", "get_bucket_notification_configuration"):
        assert set(getattr(s3, absent)(Bucket=bucket)) == {"ResponseMetadata"}
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL"]
    assert grants[0]["Grantee"]["Type"] == "CanonicalUser"


def test_the_encryption_of_the_bucket_is_taken_over(s3: Any, bucket: str) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/mine"}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    put = s3.put_object(Bucket=bucket, Key="k")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == (
        "aws:kms",
        "arn:aws:kms:us-east-1:000000000000:alias/mine",
    )


def test_access_control_lists_are_off_unless_turned_on(s3: Any, bucket: str) -> None:
    assert error_of(s3.put_bucket_acl, Bucket=bucket, ACL="public-read")["Code"] == "AccessControlListNotSupported"
    refused = error_of(s3.put_object, Bucket=bucket, Key="k", ACL="public-read")
    assert refused["Code"] == "AccessControlListNotSupported"
    s3.put_object(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="authenticated-read")
    grants = s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]


def test_a_policy_is_told_as_it_was_put(s3: Any, bucket: str) -> None:
    assert error_of(s3.get_bucket_policy, Bucket=bucket)["Code"] == "NoSuchBucketPolicy"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    public = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Principal": "*"}]})
    assert error_of(s3.put_bucket_policy, Bucket=bucket, Policy=public)["Code"] == "AccessDenied"
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    s3.delete_bucket_policy(Bucket=bucket)
    assert error_of(s3.get_bucket_policy_status, Bucket=bucket)["Code"] == "NoSuchBucketPolicy"


@pytest.mark.parametrize(
    "change",
    [{"Principal": None}, {"Resource": "arn:aws:s3:::elsewhere/*"}, {"Effect": "Maybe"}],
    ids=["no principal", "another bucket", "no effect"],
)
def test_a_policy_must_be_one(s3: Any, bucket: str, change: dict[str, Any]) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}", **change}
    whole = {name: value for name, value in statement.items() if value is not None}
    text = json.dumps({"Version": "2012-10-17", "Statement": [whole]})
    assert error_of(s3.put_bucket_policy, Bucket=bucket, Policy=text)["Code"] == "MalformedPolicy"
    assert error_of(s3.put_bucket_policy, Bucket=bucket, Policy="{")["Code"] == "MalformedPolicy"


def test_browsers_are_told_whether_they_may_ask(s3: Any, server: ClaryServer, bucket: str) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{**RULE, "MaxAgeSeconds": 60}]})
    asked = {"Origin": "https://a.example.com", "Access-Control-Request-Method": "PUT"}
    address = f"{server.endpoint}/{bucket}/k"
    request = urllib.request.Request(address, method="OPTIONS", headers=asked)
    with urllib.request.urlopen(request) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://a.example.com"
        assert response.headers["Access-Control-Max-Age"] == "60"
    elsewhere = urllib.request.Request(address, method="OPTIONS", headers={**asked, "Origin": "https://evil.test"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(elsewhere)
    assert caught.value.code == 403
    caught.value.close()
