from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.conftest import Client
    from tests.server import ClaryServer

Allow = Callable[..., Any]


@pytest.fixture
def as_user(client: Client) -> Iterator[Allow]:
    """Makes S3 clients of users who have nothing but the statements given."""
    iam = client("iam")
    users: list[tuple[str, str]] = []

    def make(*statements: dict[str, Any]) -> Any:
        name = f"user-{uuid.uuid4().hex}"
        iam.create_user(UserName=name)
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        users.append((name, key["AccessKeyId"]))
        return client("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    yield make
    for name, key_id in users:
        iam.delete_access_key(UserName=name, AccessKeyId=key_id)
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        iam.delete_user(UserName=name)


def allow(action: str | list[str], *resources: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": [f"arn:aws:s3:::{each}" for each in resources]}
    return {**statement, **({"Condition": condition} if condition else {})}


def test_nothing_is_allowed_unless_said(as_user: Allow, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    user = as_user()
    for call, arguments in (
        (user.get_object, {"Key": "k"}),
        (user.put_object, {"Key": "k"}),
        (user.delete_object, {"Key": "k"}),
        (user.list_objects_v2, {}),
        (user.get_bucket_policy, {}),
    ):
        error = error_of(call, Bucket=bucket, **arguments)
        assert (error["Code"], error["Status"]) == ("AccessDenied", 403)
        assert "is not authorized to perform: s3:" in error["Message"]
    assert error_of(user.head_object, Bucket=bucket, Key="k")["Code"] == "403"
    assert error_of(user.head_bucket, Bucket=bucket)["Code"] == "403"
    assert error_of(user.list_buckets)["Code"] == "AccessDenied"


def test_reading_a_prefix_only(as_user: Allow, s3: Any, bucket: str) -> None:
    for key in ("open/k", "shut/k"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    user = as_user(
        allow("s3:GetObject", f"{bucket}/open/*"),
        allow("s3:ListBucket", bucket, StringLike={"s3:prefix": "open/*"}),
    )
    assert user.get_object(Bucket=bucket, Key="open/k")["Body"].read() == b"1"
    assert user.head_object(Bucket=bucket, Key="open/k")
    assert error_of(user.get_object, Bucket=bucket, Key="shut/k")["Code"] == "AccessDenied"
    assert user.list_objects_v2(Bucket=bucket, Prefix="open/")["KeyCount"] == 1
    assert error_of(user.list_objects_v2, Bucket=bucket)["Code"] == "AccessDenied"
    assert error_of(user.list_objects_v2, Bucket=bucket, Prefix="shut/")["Code"] == "AccessDenied"


def test_who_may_not_list_does_not_learn_what_is_missing(as_user: Allow, bucket: str) -> None:
    blind = as_user(allow("s3:GetObject", f"{bucket}/*"))
    assert error_of(blind.get_object, Bucket=bucket, Key="nothing")["Code"] == "AccessDenied"
    seeing = as_user(allow("s3:GetObject", f"{bucket}/*"), allow("s3:ListBucket", bucket))
    assert error_of(seeing.get_object, Bucket=bucket, Key="nothing")["Code"] == "NoSuchKey"


def test_a_copy_needs_both_ends(as_user: Allow, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="from/k")
    source = {"Bucket": bucket, "Key": "from/k"}
    reader, writer = allow("s3:GetObject", f"{bucket}/from/*"), allow("s3:PutObject", f"{bucket}/to/*")
    for half in (reader, writer):
        assert (
            error_of(as_user(half).copy_object, Bucket=bucket, Key="to/k", CopySource=source)["Code"] == "AccessDenied"
        )
    as_user(reader, writer).copy_object(Bucket=bucket, Key="to/k", CopySource=source)


def test_a_copy_takes_tags_only_from_those_who_may_see_them(as_user: Allow, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Tagging="a=1")
    copy = {"Bucket": bucket, "Key": "c", "CopySource": f"{bucket}/k"}
    copier = allow(["s3:GetObject", "s3:PutObject"], f"{bucket}/*")
    assert "s3:GetObjectTagging" in error_of(as_user(copier).copy_object, **copy)["Message"]
    as_user(copier).copy_object(**copy, MetadataDirective="REPLACE", TaggingDirective="REPLACE")
    as_user(copier, allow(["s3:GetObjectTagging", "s3:PutObjectTagging"], f"{bucket}/*")).copy_object(**copy)
    assert s3.head_object(Bucket=bucket, Key="c")["TagCount"] == 1


def test_tags_need_a_permission_of_their_own(as_user: Allow, bucket: str) -> None:
    writer = allow("s3:PutObject", f"{bucket}/*")
    assert (
        "s3:PutObjectTagging" in error_of(as_user(writer).put_object, Bucket=bucket, Key="k", Tagging="a=1")["Message"]
    )
    as_user(writer, allow("s3:PutObjectTagging", f"{bucket}/*")).put_object(Bucket=bucket, Key="k", Tagging="a=1")


def test_each_key_of_many_is_decided_for_itself(as_user: Allow, s3: Any, bucket: str) -> None:
    for key in ("mine/k", "theirs/k"):
        s3.put_object(Bucket=bucket, Key=key)
    user = as_user(allow("s3:DeleteObject", f"{bucket}/mine/*"))
    answer = user.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "mine/k"}, {"Key": "theirs/k"}]})
    assert [each["Key"] for each in answer["Deleted"]] == ["mine/k"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("theirs/k", "AccessDenied")]


def test_a_version_has_an_action_of_its_own(as_user: Allow, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k")["VersionId"]
    user = as_user(allow("s3:GetObject", f"{bucket}/*"))
    assert user.get_object(Bucket=bucket, Key="k")
    assert error_of(user.get_object, Bucket=bucket, Key="k", VersionId=version)["Code"] == "AccessDenied"


def test_the_bucket_policy_denies_even_the_owner(s3: Any, bucket: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    error = error_of(s3.put_object, Bucket=bucket, Key="k")
    assert "with an explicit deny in a resource-based policy" in error["Message"]
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k")


def test_root_finds_the_way_back(s3: Any, bucket: str) -> None:
    place = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": place}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    s3.put_bucket_policy(Bucket=bucket, Policy=document)
    assert error_of(s3.list_objects_v2, Bucket=bucket)["Code"] == "AccessDenied"
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == document
    s3.delete_bucket_policy(Bucket=bucket)


def test_the_public_reads_what_is_opened_to_it(s3: Any, server: ClaryServer, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"for all")
    address = f"{server.endpoint}/{bucket}/k"
    assert _status(address) == 403
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert _status(address) == 200
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert _status(address) == 403


def _status(address: str) -> int:
    try:
        with urllib.request.urlopen(address) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
