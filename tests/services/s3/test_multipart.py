from __future__ import annotations

import base64
import hashlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.services.s3.conftest import error_of

PART = 5 << 20


@pytest.fixture(scope="module")
def contents() -> list[bytes]:
    return [os.urandom(PART), os.urandom(PART), b"the end"]


def upload(s3: Any, bucket: str, contents: list[bytes], **options: Any) -> tuple[str, list[dict[str, Any]]]:
    """Uploads the parts, the last one first and all at the same time."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k", **options)["UploadId"]

    def put(number: int) -> dict[str, Any]:
        algorithm = {"ChecksumAlgorithm": options["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in options else {}
        answer = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number, Body=contents[number - 1], **algorithm
        )
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"], **(checksums if algorithm else {})}

    with ThreadPoolExecutor(3) as pool:
        return upload_id, list(pool.map(put, range(len(contents), 0, -1)))[::-1]


def complete(s3: Any, bucket: str, upload_id: str, parts: list[dict[str, Any]], **options: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": parts}, **options
    )


def test_parts_in_any_order_make_one_object(s3: Any, bucket: str, contents: list[bytes]) -> None:
    upload_id, parts = upload(s3, bucket, contents, Metadata={"a": "1"}, ContentType="x/y", Tagging="t=1")
    assert error_of(s3.get_object, Bucket=bucket, Key="k")["Code"] == "NoSuchKey"
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)
    assert [part["Size"] for part in listed["Parts"]] == [PART, PART, 7]
    assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload_id]
    answer = complete(s3, bucket, upload_id, parts)
    digests = b"".join(hashlib.md5(content).digest() for content in contents)
    assert answer["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    whole = b"".join(contents)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == whole
    assert (got["Metadata"], got["ContentType"], got["TagCount"]) == ({"a": "1"}, "x/y", 1)
    across = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={PART - 10}-{2 * PART + 3}")
    assert across["Body"].read() == whole[PART - 10 : 2 * PART + 4]
    second = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (contents[1], 3)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    # A client that did not hear the answer asks again.
    assert complete(s3, bucket, upload_id, parts)["ETag"] == answer["ETag"]


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT")],
)
def test_checksums_of_whole_objects(s3: Any, bucket: str, contents: list[bytes], algorithm: str, kind: str) -> None:
    upload_id, parts = upload(s3, bucket, contents, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    answer = complete(s3, bucket, upload_id, parts)
    assert answer["ChecksumType"] == kind
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    value = head[f"Checksum{algorithm}"]
    assert value == answer[f"Checksum{algorithm}"]
    if kind == "COMPOSITE":
        assert value.endswith("-3")
    if (algorithm, kind) == ("CRC32", "FULL_OBJECT"):
        assert value == base64.b64encode(zlib.crc32(b"".join(contents)).to_bytes(4, "big")).decode()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(contents)
    told = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "Checksum"])
    assert told["ObjectParts"]["TotalPartsCount"] == 3


def test_what_does_not_fit_is_refused(s3: Any, bucket: str, contents: list[bytes]) -> None:
    upload_id, parts = upload(s3, bucket, [contents[2], contents[2]])
    assert error_of(complete, s3=s3, bucket=bucket, upload_id=upload_id, parts=parts)["Code"] == "EntityTooSmall"
    backwards = error_of(complete, s3=s3, bucket=bucket, upload_id=upload_id, parts=parts[::-1])
    assert backwards["Code"] == "InvalidPartOrder"
    other = [{"PartNumber": 1, "ETag": '"x"'}]
    assert error_of(complete, s3=s3, bucket=bucket, upload_id=upload_id, parts=other)["Code"] == "InvalidPart"
    assert error_of(complete, s3=s3, bucket=bucket, upload_id="x", parts=parts)["Code"] == "NoSuchUpload"
    unknown = error_of(s3.upload_part, Bucket=bucket, Key="k", UploadId="x", PartNumber=1, Body=b"1")
    assert (unknown["Code"], unknown["UploadId"]) == ("NoSuchUpload", "x")
    out_of_range = error_of(s3.upload_part, Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=10_001)
    assert out_of_range["Code"] == "InvalidArgument"
    only = complete(s3, bucket, upload_id, parts[:1])
    assert only["ETag"].endswith('-1"')
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == contents[2]


def test_a_part_may_be_replaced(s3: Any, bucket: str) -> None:
    upload_id, _ = upload(s3, bucket, [b"first"])
    again = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"second")
    complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": again["ETag"]}])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_an_aborted_upload_is_gone(s3: Any, bucket: str) -> None:
    upload_id, parts = upload(s3, bucket, [b"1"])
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)
    assert error_of(s3.list_parts, Bucket=bucket, Key="k", UploadId=upload_id)["Code"] == "NoSuchUpload"
    assert error_of(complete, s3=s3, bucket=bucket, upload_id=upload_id, parts=parts)["Code"] == "NoSuchUpload"


def test_parts_are_copied_from_objects(s3: Any, bucket: str, contents: list[bytes]) -> None:
    s3.put_object(Bucket=bucket, Key="from", Body=contents[0])
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    here = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    source = {"Bucket": bucket, "Key": "from"}
    answers = [
        s3.upload_part_copy(**here, PartNumber=1, CopySource=source),
        s3.upload_part_copy(**here, PartNumber=2, CopySource=source, CopySourceRange="bytes=1-9"),
    ]
    parts = [{"PartNumber": n, "ETag": each["CopyPartResult"]["ETag"]} for n, each in enumerate(answers, 1)]
    complete(s3, bucket, upload_id, parts)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == contents[0] + contents[0][1:10]


def test_a_condition_holds_at_the_end(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload_id, parts = upload(s3, bucket, [b"new"])
    error = error_of(complete, s3=s3, bucket=bucket, upload_id=upload_id, parts=parts, IfNoneMatch="*")
    assert error["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"there"
    assert s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]


def test_uploads_are_listed_in_pages_and_folded(s3: Any, bucket: str) -> None:
    keys = ["a", "b/1", "b/2", "c", "c", "d ü"]
    for key in keys:
        s3.create_multipart_upload(Bucket=bucket, Key=key)

    def listed(**options: Any) -> list[str]:
        paginator = s3.get_paginator("list_multipart_uploads")
        found = []
        for page in paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}, **options):
            lines = [*page.get("Uploads", []), *page.get("CommonPrefixes", [])]
            assert len(lines) <= 2
            found += [line.get("Key") or line["Prefix"] for line in lines]
        return sorted(found)

    assert listed() == keys
    assert listed(Delimiter="/") == ["a", "b/", "c", "c", "d ü"]
    assert listed(Prefix="b/") == ["b/1", "b/2"]
    s3.delete_bucket(Bucket=bucket)


def test_the_head_of_a_part(s3: Any, bucket: str) -> None:
    contents = [bytes(PART), b"the end"]
    upload_id, parts = upload(s3, bucket, contents)
    complete(s3, bucket, upload_id, parts)
    head = s3.head_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (head["ContentLength"], head["PartsCount"]) == (len(contents[1]), 2)
    assert error_of(s3.head_object, Bucket=bucket, Key="k", PartNumber=3)["Status"] == 416
