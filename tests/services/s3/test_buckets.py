from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Client


def test_a_bucket_is_there_until_it_is_deleted(s3: Any) -> None:
    name = f"test-{uuid.uuid4().hex}"
    created = s3.create_bucket(Bucket=name)
    assert created["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert error_of(s3.head_bucket, Bucket=name)["Code"] == "404"
    error = error_of(s3.list_objects_v2, Bucket=name)
    assert (error["Code"], error["BucketName"], error["Status"]) == ("NoSuchBucket", name, 404)


def test_creating_again_is_accepted_in_us_east_1_only(s3: Any, bucket: str, make_bucket: Callable[..., str]) -> None:
    s3.create_bucket(Bucket=bucket)
    european = make_bucket(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert s3.get_bucket_location(Bucket=european)["LocationConstraint"] == "eu-central-1"
    configuration = {"LocationConstraint": "eu-central-1"}
    again = error_of(s3.create_bucket, Bucket=european, CreateBucketConfiguration=configuration)
    assert (again["Code"], again["Status"]) == ("BucketAlreadyOwnedByYou", 409)


def test_a_region_outside_us_east_1_must_be_named(client: Client) -> None:
    european = client("s3", region_name="eu-west-1")
    name = f"test-{uuid.uuid4().hex}"
    assert error_of(european.create_bucket, Bucket=name)["Code"] == "IllegalLocationConstraintException"
    other = {"LocationConstraint": "us-west-2"}
    error = error_of(european.create_bucket, Bucket=name, CreateBucketConfiguration=other)
    assert error["Code"] == "IllegalLocationConstraintException"


@pytest.mark.parametrize(
    "name", ["Upper", "ab-", "-ab", "a..b", "192.168.5.4", "xn--abc", "abc-s3alias", "under_score"]
)
def test_names_that_break_the_rules_are_refused(s3: Any, name: str) -> None:
    assert error_of(s3.create_bucket, Bucket=name)["Code"] == "InvalidBucketName"


def test_a_bucket_with_objects_cannot_be_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a")
    error = error_of(s3.delete_bucket, Bucket=bucket)
    assert (error["Code"], error["Status"]) == ("BucketNotEmpty", 409)


def test_the_expected_owner_must_be_the_owner(s3: Any, bucket: str) -> None:
    owner = "000000000000"
    s3.put_object(Bucket=bucket, Key="a", ExpectedBucketOwner=owner)
    assert s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
    assert error_of(s3.get_object, Bucket=bucket, Key="a", ExpectedBucketOwner="111111111111")["Code"] == "AccessDenied"


def test_buckets_are_listed_in_pages(s3: Any, make_bucket: Callable[..., str]) -> None:
    names = sorted([make_bucket(), make_bucket(), make_bucket()])
    pages = s3.get_paginator("list_buckets").paginate(Prefix="test-", PaginationConfig={"PageSize": 2})
    found = [bucket["Name"] for page in pages for bucket in page["Buckets"]]
    assert found == sorted(found)
    assert set(names) <= set(found)
