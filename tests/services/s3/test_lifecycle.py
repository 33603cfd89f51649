from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from clary.store.objects import lifecycle
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

DATE = datetime(2099, 1, 1, tzinfo=UTC)
TAG = {"Key": "k", "Value": "v"}


class Bucket:
    def __init__(self, cloud: Cloud) -> None:
        self.s3 = cloud.client("s3")
        self.name = f"life-{uuid.uuid4().hex}"
        location = {"LocationConstraint": self.s3.meta.region_name}
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration=location)

    def put(self, *rules: dict[str, Any], **more: Any) -> Any:
        configuration = {"Rules": list(rules)}
        return self.s3.put_bucket_lifecycle_configuration(
            Bucket=self.name, LifecycleConfiguration=configuration, **more
        )

    def refused(self, *rules: dict[str, Any], **more: Any) -> tuple[str, str]:
        error = error_of(self.put_with, rules=rules, **more)
        return error["Code"], error["Message"]

    def put_with(self, rules: tuple[dict[str, Any], ...], **more: Any) -> Any:
        return self.put(*rules, **more)


@pytest.fixture
def bucket(cloud: Cloud) -> Bucket:
    return Bucket(cloud)


def rule(**members: Any) -> dict[str, Any]:
    whole = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": {"Days": 1}, **members}
    return {name: value for name, value in whole.items() if value is not None}


def test_rules_are_told_as_they_were_put(bucket: Bucket) -> None:
    rules = [
        rule(
            Expiration={"Date": DATE},
            Transitions=[{"Date": datetime(2098, 1, 1, tzinfo=UTC), "StorageClass": "GLACIER"}],
        ),
        rule(ID="s", Status="Disabled", Filter={}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
        rule(
            ID="t",
            Filter={"And": {"Prefix": "", "Tags": [TAG], "ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 9}},
            NoncurrentVersionExpiration={"NoncurrentDays": 60, "NewerNoncurrentVersions": 3},
            NoncurrentVersionTransitions=[{"NoncurrentDays": 30, "StorageClass": "STANDARD_IA"}],
        ),
    ]
    assert bucket.put(*rules)["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    told = bucket.s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)
    assert told["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    dated = told["Rules"][0]
    assert (dated["Expiration"]["Date"], dated["Transitions"][0]["Date"].year) == (DATE, 2098)
    assert told["Rules"][1:] == rules[1:]
    bucket.s3.delete_bucket_lifecycle(Bucket=bucket.name)
    absent = error_of(bucket.s3.get_bucket_lifecycle_configuration, Bucket=bucket.name)
    assert (absent["Code"], absent["Status"]) == ("NoSuchLifecycleConfiguration", 404)


def test_the_old_operation_puts_and_tells_the_same(bucket: Bucket) -> None:
    old = {
        "Status": "Enabled",
        "Prefix": "p/",
        "Expiration": {"Days": 400},
        "Transition": {"Days": 90, "StorageClass": "GLACIER"},
    }
    bucket.s3.put_bucket_lifecycle(Bucket=bucket.name, LifecycleConfiguration={"Rules": [old]})
    told = bucket.s3.get_bucket_lifecycle(Bucket=bucket.name)["Rules"][0]
    assert {name: told[name] for name in old} == old
    assert len(told["ID"]) == 48


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"ID": "x" * 256}, "InvalidArgument", "ID length should not exceed allowed limit of 255"),
        ({"Status": "Maybe"}, "MalformedXML", ""),
        ({"Prefix": "p"}, "InvalidRequest", "Base level prefix cannot be used in Lifecycle V2"),
        ({"Filter": None}, "MalformedXML", ""),
        ({"Filter": {"Prefix": "a", "Tag": TAG}}, "MalformedXML", ""),
        ({"Filter": {"And": {"Prefix": "a"}}}, "MalformedXML", ""),
        ({"Filter": {"ObjectSizeLessThan": 0}}, "InvalidRequest", "'ObjectSizeLessThan' should be between 1"),
        (
            {"Filter": {"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}}},
            "InvalidRequest",
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        ),
        ({"Expiration": None}, "InvalidRequest", "At least one action needs to be specified in a rule"),
        ({"Expiration": {"Days": 1, "Date": DATE}}, "MalformedXML", ""),
        ({"Expiration": {"Days": 0}}, "InvalidArgument", "'Days' for Expiration action must be a positive integer"),
        ({"Expiration": {"Date": DATE.replace(hour=1)}}, "InvalidArgument", "'Date' must be at midnight GMT"),
        (
            {"Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {"Tag": TAG}},
            "InvalidRequest",
            "ExpiredObjectDeleteMarker cannot be specified with Tags.",
        ),
        (
            {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}, "Filter": {"ObjectSizeLessThan": 9}},
            "InvalidRequest",
            "AbortIncompleteMultipartUpload cannot be specified with Object Size.",
        ),
        (
            {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}},
            "InvalidArgument",
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
        ),
        (
            {"NoncurrentVersionExpiration": {"NoncurrentDays": 0}},
            "InvalidArgument",
            "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
        ),
        ({"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 1}}, "MalformedXML", ""),
        (
            {"Expiration": {"Days": 90}, "Transitions": [{"Days": 9, "StorageClass": "STANDARD_IA"}]},
            "InvalidArgument",
            "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
        ),
        (
            {"Expiration": {"Days": 90}, "Transitions": [{"Days": 90, "StorageClass": "GLACIER"}]},
            "InvalidArgument",
            "'Days' in the Expiration action for filter '(prefix=a)' must be greater than 'Days' in the Transition",
        ),
        (
            {"Transitions": [{"Date": DATE, "StorageClass": "GLACIER"}]},
            "InvalidRequest",
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions",
        ),
        ({"Transitions": [{"Days": 1, "StorageClass": "STANDARD"}]}, "MalformedXML", ""),
        ({"Transitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML", ""),
    ],
)  # fmt: skip
def test_a_rule_that_breaks_the_rules_is_refused(
    bucket: Bucket, changes: dict[str, Any], code: str, message: str
) -> None:
    told = bucket.refused(rule(**changes))
    assert told[0] == code
    assert told[1].startswith(message or "The XML you provided was not well-formed")


def test_rules_that_do_not_go_together_are_refused(bucket: Bucket) -> None:
    same_id = "Rule ID must be unique. Found same ID for more than one rule"
    assert bucket.refused(rule(), rule()) == ("InvalidArgument", same_id)
    old = rule(Filter=None, Prefix="p")
    assert bucket.refused(old, {**old, "ID": "s"}) == ("InvalidRequest", "Found two rules with same prefix 'p'")
    assert bucket.refused(old, rule(ID="s"))[0] == "InvalidRequest"
    assert bucket.refused()[0] == "MalformedXML"
    assert bucket.refused(*(rule(ID=str(number)) for number in range(1001)))[0] == "MalformedXML"
    assert bucket.refused(rule(), TransitionDefaultMinimumObjectSize="none")[0] == "InvalidArgument"


def test_buckets_whose_versions_go_by_a_code_take_no_rules(bucket: Bucket, cloud: Cloud) -> None:
    bucket.put(rule())
    records = cloud.parts.platform.records
    record = records.by_arn(f"arn:aws:s3:::{bucket.name}")
    assert record is not None
    record.spec["Versioning"] = {"Status": "Enabled", "MFADelete": "Enabled"}
    assert lifecycle.rules(records.update(record).spec) == []
    assert bucket.refused(rule())[0] == "InvalidBucketState"


def test_answers_tell_when_an_object_expires(bucket: Bucket) -> None:
    bucket.put(rule(ID="soon", Expiration={"Date": DATE}))
    header = 'expiry-date="Thu, 01 Jan 2099 00:00:00 GMT", rule-id="soon"'
    s3, name = bucket.s3, bucket.name
    assert s3.put_object(Bucket=name, Key="a", Body=b"x")["Expiration"] == header
    assert s3.head_object(Bucket=name, Key="a")["Expiration"] == header
    assert s3.get_object(Bucket=name, Key="a")["Expiration"] == header
    assert s3.copy_object(Bucket=name, Key="a2", CopySource=f"{name}/a")["Expiration"] == header
    assert "Expiration" not in s3.put_object(Bucket=name, Key="b", Body=b"x")
    s3.delete_bucket_lifecycle(Bucket=name)
    assert "Expiration" not in s3.head_object(Bucket=name, Key="a")


def test_answers_tell_when_an_upload_is_given_up(bucket: Bucket) -> None:
    bucket.put(rule(ID="stale", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}))
    begun = bucket.s3.create_multipart_upload(Bucket=bucket.name, Key="a")
    assert begun["AbortRuleId"] == "stale"
    assert (begun["AbortDate"] - datetime.now(UTC)).days in (2, 1)
    listed = bucket.s3.list_parts(Bucket=bucket.name, Key="a", UploadId=begun["UploadId"])
    assert listed["AbortDate"] == begun["AbortDate"]
