"""What principals of another account may do; nobody can sign as one here, so they call past the signature."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from clary.auth.credentials import root_user
from clary.clock import SystemClock
from clary.context import Context
from clary.errors import AccessDenied
from clary.http import BytesBody
from clary.services.s3.bucket import canonical_id
from clary.services.s3.grants import SWITCHES

if TYPE_CHECKING:
    from tests.cloud import Cloud

BUCKET = "theirs"
OWNER, OTHER = "123456789012", "210987654321"
PLACE = {"Bucket": BUCKET, "Key": "k"}

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    location = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location, ObjectOwnership="ObjectWriter")
    client.put_object(**PLACE, Body=b"1")
    return client


@pytest.fixture
def other(cloud: Cloud) -> Call:
    """Calls an operation as root of another account."""

    def call(operation: str, **request: Any) -> dict[str, Any]:
        principal = root_user(OTHER)
        now = SystemClock().now()
        ctx = Context("r", OTHER, "eu-west-1", principal, "s3", operation, now)
        if "Body" in request:
            request["Body"] = BytesBody(request["Body"])
        return asyncio.run(cloud.parts.platform.invoke.run(ctx, request)).members

    return call


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except AccessDenied:
        return True
    return False


def test_a_grant_opens_an_object_to_an_account(s3: Any, other: Any) -> None:
    assert refused(lambda: other("GetObject", **PLACE))
    s3.put_object_acl(**PLACE, GrantRead=f"id={canonical_id(OTHER)}", GrantFullControl=f"id={canonical_id(OWNER)}")
    assert other("GetObject", **PLACE)["ContentLength"] == 1
    assert refused(lambda: other("GetObjectAcl", **PLACE))
    assert refused(lambda: other("PutObject", **PLACE, Body=b"2"))
    assert refused(lambda: other("DeleteObject", **PLACE))


def test_objects_belong_to_those_who_write_them(s3: Any, other: Any) -> None:
    s3.put_bucket_acl(Bucket=BUCKET, GrantWrite=f"id={canonical_id(OTHER)}")
    other("PutObject", Bucket=BUCKET, Key="own", Body=b"2")
    assert other("GetObject", Bucket=BUCKET, Key="own")["ContentLength"] == 1
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.get_object(Bucket=BUCKET, Key="own")
    other("PutObjectAcl", Bucket=BUCKET, Key="own", ACL="bucket-owner-read")
    assert s3.get_object(Bucket=BUCKET, Key="own")["Body"].read() == b"2"
    s3.delete_object(Bucket=BUCKET, Key="own")


@pytest.mark.parametrize(
    ("ownership", "acl", "mine"),
    [
        ("BucketOwnerPreferred", "", False),
        ("BucketOwnerPreferred", "bucket-owner-full-control", True),
        ("BucketOwnerEnforced", "", True),
    ],
)
def test_ownership_controls(s3: Any, other: Any, ownership: str, acl: str, mine: bool) -> None:
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": ["s3:PutObject", "s3:PutObjectAcl"],
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": allow}))
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})
    other("PutObject", Bucket=BUCKET, Key="new", Body=b"2", **({"ACL": acl} if acl else {}))
    if mine:
        assert s3.get_object(Bucket=BUCKET, Key="new")["Body"].read() == b"2"
    else:
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.get_object(Bucket=BUCKET, Key="new")


def test_restricted_buckets_with_public_policies_keep_other_accounts_out(s3: Any, other: Any) -> None:
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(SWITCHES, False))
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": public}))
    assert other("GetObject", **PLACE)
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert refused(lambda: other("GetObject", **PLACE))
    assert s3.get_object(**PLACE)
    named = {**public, "Principal": {"AWS": OTHER}}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": named}))
    assert other("GetObject", **PLACE)
