from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.services.s3.grants import SWITCHES
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from collections.abc import Callable


def test_lists_must_go_before_they_are_turned_off(s3: Any, make_bucket: Callable[..., str]) -> None:
    bucket = make_bucket(ObjectOwnership="ObjectWriter")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_acl(Bucket=bucket, ACL="log-delivery-write")
    refused = error_of(s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=enforced)
    assert (refused["Code"], refused["Status"]) == ("InvalidBucketAclWithObjectOwnership", 400)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == enforced
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    missing = error_of(s3.get_bucket_ownership_controls, Bucket=bucket)
    assert (missing["Code"], missing["Status"]) == ("OwnershipControlsNotFoundError", 404)


def test_switches_that_are_not_named_are_off(s3: Any, bucket: str) -> None:
    told = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert told == dict.fromkeys(SWITCHES, True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    told = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert told == {**dict.fromkeys(SWITCHES, False), "IgnorePublicAcls": True}
    s3.delete_public_access_block(Bucket=bucket)
    assert error_of(s3.get_public_access_block, Bucket=bucket)["Code"] == "NoSuchPublicAccessBlockConfiguration"
