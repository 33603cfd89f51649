from __future__ import annotations

from typing import Any

import pytest

from tests.services.s3.conftest import error_of


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    set_versioning(s3, bucket, "Enabled")
    return bucket


def set_versioning(s3: Any, bucket: str, status: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def body(s3: Any, bucket: str, key: str, **options: Any) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return content


def test_every_write_is_a_version(s3: Any, versioned: str) -> None:
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=str(number).encode())["VersionId"] for number in range(3)]
    assert len(set(ids)) == 3
    assert [body(s3, versioned, "k", VersionId=each) for each in ids] == [b"0", b"1", b"2"]
    assert body(s3, versioned, "k") == b"2"
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [each["VersionId"] for each in listed] == ids[::-1]
    assert [each["IsLatest"] for each in listed] == [True, False, False]


def test_a_delete_marker_hides_what_is_still_there(s3: Any, versioned: str) -> None:
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True
    assert error_of(s3.get_object, Bucket=versioned, Key="k")["Code"] == "NoSuchKey"
    assert s3.list_objects_v2(Bucket=versioned)["KeyCount"] == 0
    assert body(s3, versioned, "k", VersionId=first) == b"1"
    marker = deleted["VersionId"]
    refused = error_of(s3.get_object, Bucket=versioned, Key="k", VersionId=marker)
    assert (refused["Code"], refused["Status"]) == ("MethodNotAllowed", 405)
    assert error_of(s3.delete_bucket, Bucket=versioned)["Code"] == "BucketNotEmpty"
    assert s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)["DeleteMarker"] is True
    assert body(s3, versioned, "k") == b"1"


def test_the_version_before_becomes_the_current_one(s3: Any, versioned: str) -> None:
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=str(number).encode())["VersionId"] for number in range(3)]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])
    assert body(s3, versioned, "k") == b"1"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert body(s3, versioned, "k") == b"1"
    error = error_of(s3.get_object, Bucket=versioned, Key="k", VersionId=ids[0])
    assert (error["Code"], error["VersionId"]) == ("NoSuchVersion", ids[0])


def test_suspended_versioning_writes_the_null_version(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    set_versioning(s3, bucket, "Enabled")
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]
    assert body(s3, bucket, "k", VersionId="null") == b"before"
    set_versioning(s3, bucket, "Suspended")
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"after")["VersionId"] == "null"
    assert body(s3, bucket, "k", VersionId="null") == b"after"
    assert body(s3, bucket, "k", VersionId=kept) == b"kept"
    assert s3.delete_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    listed = s3.list_object_versions(Bucket=bucket)
    assert [each["VersionId"] for each in listed["Versions"]] == [kept]
    assert [each["VersionId"] for each in listed["DeleteMarkers"]] == ["null"]


def test_pages_go_on_though_their_versions_are_deleted(s3: Any, versioned: str) -> None:
    for number in range(7):
        s3.put_object(Bucket=versioned, Key="k", Body=str(number).encode())
    seen = 0
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": 3})
    for page in pages:
        for version in page["Versions"]:
            s3.delete_object(Bucket=versioned, Key="k", VersionId=version["VersionId"])
            seen += 1
    assert seen == 7


def test_one_version_is_copied(s3: Any, versioned: str) -> None:
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"2")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert body(s3, versioned, "k") == b"1"
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 3


def test_answers_tell_of_delete_markers(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="k")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    for call, arguments, status in (
        (s3.get_object, {}, 404),
        (s3.head_object, {}, 404),
        (s3.get_object, {"VersionId": marker}, 405),
        (s3.head_object, {"VersionId": marker}, 405),
    ):
        with pytest.raises(s3.exceptions.ClientError) as caught:
            call(Bucket=bucket, Key="k", **arguments)
        metadata = caught.value.response["ResponseMetadata"]
        assert metadata["HTTPStatusCode"] == status
        assert metadata["HTTPHeaders"]["x-amz-delete-marker"] == "true"
        assert metadata["HTTPHeaders"]["x-amz-version-id"] == marker
        assert metadata["HTTPHeaders"].get("allow") == ("DELETE" if arguments else None)
