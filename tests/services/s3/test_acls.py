from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from clary.services.s3.bucket import canonical_id
from clary.services.s3.grants import ALL_USERS, AUTHENTICATED_USERS
from tests.services.s3.conftest import error_of
from tests.services.s3.test_access import as_user  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import ClaryServer

EVERYBODY = {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"}


@pytest.fixture
def open_bucket(s3: Any, make_bucket: Callable[..., str]) -> str:
    """A bucket that takes access control lists, public ones too."""
    name = make_bucket(ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=name)
    return name


@pytest.fixture
def anonymous(server: ClaryServer) -> Callable[..., int]:
    """Sends requests that nobody signed; tells the status."""

    def send(path: str, method: str = "GET", body: bytes | None = None) -> int:
        request = urllib.request.Request(f"{server.endpoint}/{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    return send


def test_a_public_object_is_read_by_all(s3: Any, open_bucket: str, anonymous: Callable[..., int]) -> None:
    s3.put_object(Bucket=open_bucket, Key="shown", Body=b"x", ACL="public-read")
    s3.put_object(Bucket=open_bucket, Key="hidden", Body=b"x")
    assert anonymous(f"{open_bucket}/shown") == 200
    assert anonymous(f"{open_bucket}/hidden") == 403
    assert anonymous(open_bucket) == 403
    assert anonymous(f"{open_bucket}/shown", "DELETE") == 403
    s3.put_object_acl(Bucket=open_bucket, Key="shown", ACL="private")
    assert anonymous(f"{open_bucket}/shown") == 403


def test_a_public_bucket_is_listed_and_written_by_all(s3: Any, open_bucket: str, anonymous: Callable[..., int]) -> None:
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    assert anonymous(open_bucket) == 200
    assert anonymous(f"{open_bucket}/k", "PUT", b"1") == 403
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read-write")
    assert anonymous(f"{open_bucket}/k", "PUT", b"1") == 200
    assert anonymous(f"{open_bucket}?acl") == 403


def test_lists_that_are_turned_off_grant_nothing(s3: Any, open_bucket: str, anonymous: Callable[..., int]) -> None:
    s3.put_object(Bucket=open_bucket, Key="k", ACL="public-read")
    s3.put_public_access_block(Bucket=open_bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert anonymous(f"{open_bucket}/k") == 403
    s3.delete_public_access_block(Bucket=open_bucket)
    assert anonymous(f"{open_bucket}/k") == 200
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=open_bucket, OwnershipControls=rules)
    assert anonymous(f"{open_bucket}/k") == 403
    assert len(s3.get_object_acl(Bucket=open_bucket, Key="k")["Grants"]) == 1


def test_block_public_acls_refuses_new_ones(s3: Any, make_bucket: Callable[..., str]) -> None:
    bucket = make_bucket(ObjectOwnership="ObjectWriter")
    s3.put_object(Bucket=bucket, Key="k")
    grants = [EVERYBODY]
    policy = {"Owner": {"ID": _owner(s3, bucket)}, "Grants": grants}
    for call, arguments in (
        (s3.put_object, {"Key": "k", "ACL": "public-read"}),
        (s3.put_object, {"Key": "k", "GrantRead": f'uri="{ALL_USERS}"'}),
        (s3.put_object_acl, {"Key": "k", "ACL": "authenticated-read"}),
        (s3.put_bucket_acl, {"AccessControlPolicy": policy}),
        (s3.create_multipart_upload, {"Key": "k", "ACL": "public-read"}),
        (s3.copy_object, {"Key": "c", "CopySource": f"{bucket}/k", "ACL": "public-read"}),
    ):
        error = error_of(call, Bucket=bucket, **arguments)
        assert (error["Code"], error["Status"]) == ("AccessDenied", 403)
        assert "prevented by the BlockPublicAcls setting" in error["Message"]
    s3.put_object(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")


def test_authenticated_users(
    s3: Any,
    open_bucket: str,
    anonymous: Callable[..., int],
    as_user: Callable[..., Any],  # noqa: F811
) -> None:
    s3.put_object(Bucket=open_bucket, Key="k", ACL="authenticated-read")
    assert anonymous(f"{open_bucket}/k") == 403
    assert as_user().get_object(Bucket=open_bucket, Key="k")


def test_grants_in_headers(s3: Any, open_bucket: str) -> None:
    owner = _owner(s3, open_bucket)
    header = f'id="{owner}", uri="{AUTHENTICATED_USERS}"'
    s3.put_object(Bucket=open_bucket, Key="k", GrantRead=header, GrantFullControl=f"id={owner}")
    told = s3.get_object_acl(Bucket=open_bucket, Key="k")
    assert told["Owner"] == {"ID": owner}
    assert sorted((each["Permission"], each["Grantee"]["Type"]) for each in told["Grants"]) == [
        ("FULL_CONTROL", "CanonicalUser"),
        ("READ", "CanonicalUser"),
        ("READ", "Group"),
    ]


def test_grants_in_the_body(s3: Any, open_bucket: str, anonymous: Callable[..., int]) -> None:
    owner = {"ID": _owner(s3, open_bucket)}
    other = {"Grantee": {"Type": "CanonicalUser", "ID": canonical_id("210987654321")}, "Permission": "WRITE_ACP"}
    acl = {"Owner": owner, "Grants": [EVERYBODY, other]}
    s3.put_bucket_acl(Bucket=open_bucket, AccessControlPolicy=acl)
    told = s3.get_bucket_acl(Bucket=open_bucket)
    assert (told["Owner"], told["Grants"]) == (owner, acl["Grants"])
    assert anonymous(open_bucket) == 200


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ({}, "MissingSecurityHeader", 400),
        ({"ACL": "nonsense"}, "InvalidArgument", 400),
        ({"ACL": "private", "GrantRead": f"uri={ALL_USERS}"}, "InvalidRequest", 400),
        ({"GrantRead": "somebody"}, "InvalidArgument", 400),
        ({"GrantRead": "id=abc"}, "InvalidArgument", 400),
        ({"GrantRead": "uri=http://example.org"}, "InvalidArgument", 400),
        ({"GrantRead": "emailAddress=a@example.org"}, "MethodNotAllowed", 405),
        ({"AccessControlPolicy": {"Grants": []}}, "MalformedACLError", 400),
        ({"ACL": "private", "AccessControlPolicy": {"Grants": []}}, "UnexpectedContent", 400),
    ],
)
def test_lists_that_are_refused(s3: Any, open_bucket: str, arguments: Any, code: str, status: int) -> None:
    error = error_of(s3.put_bucket_acl, Bucket=open_bucket, **arguments)
    assert (error["Code"], error["Status"]) == (code, status)


def test_new_buckets(s3: Any, make_bucket: Callable[..., str]) -> None:
    refused = error_of(s3.create_bucket, Bucket="test-acl-refused", ACL="public-read")
    assert refused["Code"] == "InvalidBucketAclWithObjectOwnership"
    blocked = error_of(
        s3.create_bucket, Bucket="test-acl-refused", ACL="public-read", ObjectOwnership="BucketOwnerPreferred"
    )
    assert blocked["Code"] == "AccessDenied"
    bucket = make_bucket(ACL="log-delivery-write", ObjectOwnership="BucketOwnerPreferred")
    assert {each["Permission"] for each in s3.get_bucket_acl(Bucket=bucket)["Grants"]} == {
        "FULL_CONTROL",
        "WRITE",
        "READ_ACP",
    }


def _owner(s3: Any, bucket: str) -> str:
    return str(s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"])
