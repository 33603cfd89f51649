from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

OLD = {"Bucket": "archive", "Key": "old"}


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    client.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_object(**OLD, Body=b"old", StorageClass="GLACIER")
    return client


def test_archived_objects_are_read_only_when_restored(cloud: Cloud, s3: Any) -> None:
    assert s3.head_object(**OLD)["StorageClass"] == "GLACIER"
    refused = error_of(s3.get_object, **OLD)
    assert (refused["Code"], refused["Status"], refused["StorageClass"]) == ("InvalidObjectState", 403, "GLACIER")
    copy = {"Bucket": "archive", "Key": "copy", "CopySource": "archive/old"}
    assert error_of(s3.copy_object, **copy)["Code"] == "ObjectNotInActiveTierError"

    accepted = s3.restore_object(**OLD, RestoreRequest={"Days": 1, "GlacierJobParameters": {"Tier": "Bulk"}})
    assert accepted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert s3.restore_object(**OLD, RestoreRequest={"Days": 2})["ResponseMetadata"]["HTTPStatusCode"] == 200
    told = s3.get_object(**OLD)
    assert told["Body"].read() == b"old"
    assert told["Restore"].startswith('ongoing-request="false", expiry-date="')
    s3.copy_object(**copy)
    assert "StorageClass" not in s3.head_object(Bucket="archive", Key="copy")
    versions = cloud.parts.platform.objects.index.get("archive", "old")
    assert versions is not None
    left = versions.meta.restored - cloud.clock.now().timestamp()
    assert timedelta(days=2).total_seconds() <= left <= timedelta(days=3).total_seconds()


def test_what_cannot_be_restored(s3: Any) -> None:
    s3.put_object(Bucket="archive", Key="new")
    days = {"Days": 1}
    assert error_of(s3.restore_object, Bucket="archive", Key="new", RestoreRequest=days)["Code"] == "InvalidObjectState"
    assert error_of(s3.restore_object, **OLD, RestoreRequest={})["Code"] == "MalformedXML"
    assert error_of(s3.restore_object, **OLD, RestoreRequest={"Type": "SELECT"})["Code"] == "NotImplemented"


def test_lists_tell_where_objects_are_kept(s3: Any) -> None:
    s3.restore_object(**OLD, RestoreRequest={"Days": 1})
    s3.put_object(Bucket="archive", Key="new")
    for listed, member in ((s3.list_objects, "Contents"), (s3.list_objects_v2, "Contents")):
        told = {
            each["Key"]: each for each in listed(Bucket="archive", OptionalObjectAttributes=["RestoreStatus"])[member]
        }
        new, old = told["new"], told["old"]
        assert (new["StorageClass"], old["StorageClass"]) == ("STANDARD", "GLACIER")
        assert old["RestoreStatus"]["IsRestoreInProgress"] is False
    (old,) = s3.list_object_versions(Bucket="archive", Prefix="old")["Versions"]
    assert old["StorageClass"] == "GLACIER"
    assert "RestoreStatus" not in old
