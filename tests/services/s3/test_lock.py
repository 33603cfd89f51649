from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.services.s3.grants import SWITCHES
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

BUCKET = "locked"
PROTECTED = "Access Denied because object protected by object lock."


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    location = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location, ObjectLockEnabledForBucket=True)
    return client


def days(cloud: Cloud, count: int) -> datetime:
    until: datetime = cloud.clock.now() + timedelta(days=count)
    return until.replace(microsecond=0).astimezone(UTC)


def put(s3: Any, **lock: Any) -> dict[str, str]:
    """A new version, as the arguments that name it."""
    return {"Bucket": BUCKET, "Key": "k", "VersionId": s3.put_object(Bucket=BUCKET, Key="k", **lock)["VersionId"]}


def test_compliance_holds_against_root(cloud: Cloud, s3: Any) -> None:
    # No longer than the clocks of signatures may differ.
    until = cloud.clock.now() + timedelta(minutes=10)
    version = put(s3, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    for arguments in ({}, {"BypassGovernanceRetention": True}):
        error = error_of(s3.delete_object, **version, **arguments)
        assert (error["Code"], error["Status"], error["Message"]) == ("AccessDenied", 403, PROTECTED)
    objects = [{"Key": "k", "VersionId": version["VersionId"]}]
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects}, BypassGovernanceRetention=True)
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]
    assert error_of(s3.delete_bucket, Bucket=BUCKET)["Code"] == "BucketNotEmpty"
    cloud.clock.shift = timedelta(minutes=11)
    assert s3.delete_object(**version)["VersionId"] == version["VersionId"]


def test_compliance_only_grows(cloud: Cloud, s3: Any) -> None:
    version = put(s3, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=days(cloud, 2))
    for weaker in (
        {"Mode": "COMPLIANCE", "RetainUntilDate": days(cloud, 1)},
        {"Mode": "GOVERNANCE", "RetainUntilDate": days(cloud, 9)},
        {},
    ):
        error = error_of(s3.put_object_retention, **version, Retention=weaker, BypassGovernanceRetention=True)
        assert (error["Code"], error["Message"]) == ("AccessDenied", PROTECTED)
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": days(cloud, 9)}
    s3.put_object_retention(**version, Retention=longer)
    assert s3.get_object_retention(**version)["Retention"] == longer
    head = s3.head_object(**version)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", longer["RetainUntilDate"])


def test_governance_yields_to_those_who_may_bypass_it(cloud: Cloud, s3: Any) -> None:
    version = put(s3)
    s3.put_object_retention(**version, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": days(cloud, 2)})
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": days(cloud, 1)}
    assert error_of(s3.put_object_retention, **version, Retention=shorter)["Message"] == PROTECTED
    s3.put_object_retention(**version, Retention=shorter, BypassGovernanceRetention=True)
    assert error_of(s3.delete_object, **version)["Message"] == PROTECTED
    deleter = user(cloud, "s3:DeleteObject*")
    assert error_of(deleter.delete_object, **version, BypassGovernanceRetention=True)["Message"] == PROTECTED
    master = user(cloud, "s3:DeleteObject*", "s3:BypassGovernanceRetention")
    assert master.delete_object(**version, BypassGovernanceRetention=True)


def test_a_legal_hold_lasts_until_it_is_lifted(s3: Any) -> None:
    version = put(s3, ObjectLockLegalHoldStatus="ON")
    assert s3.head_object(**version)["ObjectLockLegalHoldStatus"] == "ON"
    assert error_of(s3.delete_object, **version, BypassGovernanceRetention=True)["Message"] == PROTECTED
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(**version)["LegalHold"] == {"Status": "OFF"}
    s3.delete_object(**version)


def test_delete_markers_are_no_deletion(s3: Any) -> None:
    put(s3, ObjectLockLegalHoldStatus="ON")
    assert s3.delete_object(Bucket=BUCKET, Key="k")["DeleteMarker"]


def test_default_retention(cloud: Cloud, s3: Any) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=BUCKET)["ObjectLockConfiguration"] == configuration
    version = put(s3)
    until = s3.get_object_retention(**version)["Retention"]["RetainUntilDate"]
    assert timedelta(days=364) < until - cloud.clock.now() <= timedelta(days=365)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="m")
    part = s3.upload_part(Bucket=BUCKET, Key="m", UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=BUCKET, Key="m", UploadId=upload["UploadId"], MultipartUpload=done)
    assert s3.head_object(Bucket=BUCKET, Key="m")["ObjectLockMode"] == "GOVERNANCE"


def test_a_copy_brings_no_lock_along(cloud: Cloud, s3: Any) -> None:
    put(s3, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=days(cloud, 2))
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/k", ObjectLockLegalHoldStatus="ON")
    head = s3.head_object(Bucket=BUCKET, Key="copy")
    assert head["ObjectLockLegalHoldStatus"] == "ON"
    assert "ObjectLockMode" not in head


def test_what_is_refused(cloud: Cloud, s3: Any) -> None:
    version = put(s3)
    for call, arguments, code in (
        (s3.get_object_retention, version, "NoSuchObjectLockConfiguration"),
        (s3.get_object_legal_hold, version, "NoSuchObjectLockConfiguration"),
        (s3.put_object_retention, {**version, "Retention": {"Mode": "COMPLIANCE"}}, "MalformedXML"),
        (
            s3.put_object_retention,
            {**version, "Retention": {"Mode": "COMPLIANCE", "RetainUntilDate": days(cloud, -1)}},
            "InvalidArgument",
        ),
        (s3.put_object, {"Bucket": BUCKET, "Key": "x", "ObjectLockMode": "COMPLIANCE"}, "InvalidArgument"),
        (
            s3.put_bucket_versioning,
            {"Bucket": BUCKET, "VersioningConfiguration": {"Status": "Suspended"}},
            "InvalidBucketState",
        ),
        (
            s3.put_object_lock_configuration,
            {"Bucket": BUCKET, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": {}}},
            "MalformedXML",
        ),
    ):
        assert error_of(call, **arguments)["Code"] == code


def test_buckets_without_locks(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="plain", Key="k")
    missing = error_of(s3.get_object_lock_configuration, Bucket="plain")
    assert (missing["Code"], missing["Status"]) == ("ObjectLockConfigurationNotFoundError", 404)
    hold = {"Status": "ON"}
    assert error_of(s3.put_object_legal_hold, Bucket="plain", Key="k", LegalHold=hold)["Code"] == "InvalidRequest"
    refused = error_of(s3.put_object, Bucket="plain", Key="k", ObjectLockLegalHoldStatus="ON")
    assert refused["Message"] == "Bucket is missing Object Lock Configuration"
    enabled = {"ObjectLockEnabled": "Enabled"}
    assert (
        error_of(s3.put_object_lock_configuration, Bucket="plain", ObjectLockConfiguration=enabled)["Code"]
        == "InvalidBucketState"
    )
    s3.put_bucket_versioning(Bucket="plain", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket="plain", ObjectLockConfiguration=enabled)
    s3.put_object_legal_hold(Bucket="plain", Key="k", LegalHold=hold)
    assert error_of(s3.delete_object, Bucket="plain", Key="k", VersionId="null")["Message"] == PROTECTED


def test_locks_are_conditions_of_policies(cloud: Cloud, s3: Any) -> None:
    least = {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObjectRetention",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        "Condition": least,
    }
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(SWITCHES, False))
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    version = put(s3)
    short, long = ({"Mode": "GOVERNANCE", "RetainUntilDate": days(cloud, count)} for count in (9, 30))
    s3.put_object_retention(**version, Retention=short)
    assert "explicit deny" in error_of(s3.put_object_retention, **version, Retention=long)["Message"]


def user(cloud: Cloud, *actions: str) -> Any:
    """A client of a user who may do this to every object."""
    iam = cloud.client("iam")
    name = f"user-{len(actions)}"
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return cloud.client("s3", iam.create_access_key(UserName=name)["AccessKey"])
