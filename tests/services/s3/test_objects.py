from __future__ import annotations

import base64
import hashlib
import io
import os
import urllib.error
import urllib.request
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Client
    from tests.server import ClaryServer

LARGE = os.urandom(300_000)


@pytest.mark.parametrize("content", [b"", b"hello", LARGE])
def test_what_was_put_is_got(s3: Any, bucket: str, content: bytes) -> None:
    put = s3.put_object(
        Bucket=bucket, Key="a/b c+d%&ü", Body=content, Metadata={"Colour": "blue"}, CacheControl="no-cache"
    )
    assert put["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert put["ServerSideEncryption"] == "AES256"
    got = s3.get_object(Bucket=bucket, Key="a/b c+d%&ü")
    assert got["Body"].read() == content
    assert (got["ETag"], got["ContentLength"], got["ContentType"]) == (put["ETag"], len(content), "binary/octet-stream")
    assert (got["Metadata"], got["CacheControl"], got["AcceptRanges"]) == ({"colour": "blue"}, "no-cache", "bytes")
    assert got["ChecksumCRC32"] == base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    head = s3.head_object(Bucket=bucket, Key="a/b c+d%&ü")
    assert (head["ETag"], head["ContentLength"], head["Metadata"]) == (put["ETag"], len(content), {"colour": "blue"})
    assert datetime.now(UTC) - head["LastModified"] < timedelta(minutes=1)


def test_put_replaces(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=LARGE, ContentType="text/csv")
    s3.put_object(Bucket=bucket, Key="k", Body=b"small")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ContentType"]) == (b"small", "binary/octet-stream")
    assert "VersionId" not in got


def test_what_is_not_there_is_told(s3: Any, bucket: str) -> None:
    error = error_of(s3.get_object, Bucket=bucket, Key="nothing")
    assert (error["Code"], error["Key"], error["Status"]) == ("NoSuchKey", "nothing", 404)
    assert error["Message"] == "The specified key does not exist."
    head = error_of(s3.head_object, Bucket=bucket, Key="nothing")
    assert (head["Code"], head["Message"]) == ("404", "Not Found")
    assert s3.delete_object(Bucket=bucket, Key="nothing")["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=10-99999999", 10, None)],
)
@pytest.mark.parametrize("content", [LARGE, LARGE[:1000]])
def test_ranges(s3: Any, bucket: str, content: bytes, asked: str, start: int, end: int | None) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=content)
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == content[start:end]
    first = start % len(content)
    last = (len(content) if end is None else end) - 1
    assert got["ContentRange"] == f"bytes {first}-{last}/{len(content)}"


def test_a_range_behind_the_end_is_refused_and_one_that_is_none_ignored(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    error = error_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=5-")
    assert (error["Code"], error["Status"], error["ActualObjectSize"]) == ("InvalidRange", 416, "5")
    got = s3.get_object(Bucket=bucket, Key="k", Range="lines=1-2")
    assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, b"12345")


def test_conditional_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    past, future = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    for accepted in (
        {"IfMatch": etag},
        {"IfNoneMatch": '"x"'},
        {"IfModifiedSince": past},
        {"IfUnmodifiedSince": future},
    ):
        assert s3.get_object(Bucket=bucket, Key="k", **accepted)["Body"].read() == b"1"
    for refused in ({"IfMatch": '"x"'}, {"IfUnmodifiedSince": past}):
        assert error_of(s3.get_object, Bucket=bucket, Key="k", **refused)["Code"] == "PreconditionFailed"
        assert error_of(s3.head_object, Bucket=bucket, Key="k", **refused)["Code"] == "412"
    for unchanged in ({"IfNoneMatch": etag}, {"IfModifiedSince": future}):
        error = error_of(s3.get_object, Bucket=bucket, Key="k", **unchanged)
        assert error["Status"] == 304


def test_conditional_writes(s3: Any, bucket: str) -> None:
    assert error_of(s3.put_object, Bucket=bucket, Key="k", IfMatch='"x"')["Code"] == "NoSuchKey"
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")["Code"] == "PreconditionFailed"
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=LARGE, IfMatch='"x"')["Status"] == 412
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", "CRC32C", "CRC64NVME"])
@pytest.mark.parametrize("content", [b"123456789", LARGE])
def test_checksums_are_kept_and_told(s3: Any, bucket: str, algorithm: str, content: bytes) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=content, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"]
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert got["ChecksumType"] == "FULL_OBJECT"
    assert got["Body"].read() == content
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]


def test_crc64nvme_is_made_when_no_checksum_is_named(client: Client, bucket: str) -> None:
    s3 = client("s3", config=Config(request_checksum_calculation="when_required"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    # The check value of the CRC catalogue, AE 8B 14 86 0A 79 98 88.
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC64NVME"] == "rosUhgp5mIg="


def test_damaged_bodies_are_refused_and_nothing_is_stored(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(bytes(16)).decode()
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"1", ContentMD5=wrong)["Code"] == "BadDigest"
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=LARGE, ContentMD5=wrong)["Code"] == "BadDigest"
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"1", ContentMD5="x")["Code"] == "InvalidDigest"
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"1", ChecksumCRC32="AAAAAA==")["Code"] == "BadDigest"
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"1", ChecksumCRC32="x")["Code"] == "InvalidRequest"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_an_expiry_comes_back(s3: Any, bucket: str) -> None:
    expires = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    s3.put_object(Bucket=bucket, Key="k", Expires=expires, ContentLanguage="de", WebsiteRedirectLocation="/x")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"
    assert (head["ContentLanguage"], head["WebsiteRedirectLocation"]) == ("de", "/x")


def test_limits(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k" * 1024)
    assert error_of(s3.put_object, Bucket=bucket, Key="k" * 1025)["Code"] == "KeyTooLongError"
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Metadata={"a": "b" * 2048})["Code"] == "MetadataTooLarge"


def test_answers_may_be_told_which_headers_to_have(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="text/csv", ResponseCacheControl="no-store")
    assert (got["ContentType"], got["CacheControl"]) == ("text/csv", "no-store")


@pytest.mark.parametrize("content", [b"small", LARGE])
def test_copy(s3: Any, bucket: str, content: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="from ü", Body=content, Metadata={"a": "1"}, ContentType="text/csv", Tagging="t=1")
    source = {"Bucket": bucket, "Key": "from ü"}
    result = s3.copy_object(Bucket=bucket, Key="to", CopySource=source)["CopyObjectResult"]
    assert result["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    s3.delete_object(**source)
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (content, {"a": "1"}, "text/csv")
    assert got["TagCount"] == 1
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "to"}, MetadataDirective="REPLACE")
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (content, {}, "binary/octet-stream")


def test_copies_that_make_no_sense_are_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    onto_itself = error_of(s3.copy_object, Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"})
    assert onto_itself["Code"] == "InvalidRequest"
    missing = error_of(s3.copy_object, Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "x"})
    assert missing["Code"] == "NoSuchKey"
    source = {"Bucket": bucket, "Key": "k"}
    unmet = error_of(s3.copy_object, Bucket=bucket, Key="y", CopySource=source, CopySourceIfMatch='"x"')
    assert unmet["Code"] == "PreconditionFailed"


def test_many_are_deleted_at_once(s3: Any, bucket: str) -> None:
    for key in ("a", "b", "c<&>"):
        s3.put_object(Bucket=bucket, Key=key)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "c<&>"}, {"Key": "nothing"}]})
    assert [each["Key"] for each in answer["Deleted"]] == ["a", "c<&>", "nothing"]
    assert "Errors" not in answer
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    too_many = {"Objects": [{"Key": str(number)} for number in range(1001)]}
    assert error_of(s3.delete_objects, Bucket=bucket, Delete=too_many)["Code"] == "MalformedXML"


def test_tags_of_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Tagging="a=1&b=%C3%BC")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "ü"},
    ]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": ""}]
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 1
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    assert error_of(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=twice)["Code"] == "InvalidTag"


def test_attributes(s3: Any, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"123", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    told = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert (told["ETag"], told["ObjectSize"], told["StorageClass"]) == (put["ETag"].strip('"'), 3, "STANDARD")
    assert told["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]


@pytest.mark.parametrize("signature_version", ["s3", "s3v4"])
def test_presigned_urls(client: Client, bucket: str, signature_version: str) -> None:
    s3 = client("s3", config=Config(signature_version=signature_version))
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "a b/ü"})
    request = urllib.request.Request(put, data=LARGE, method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(request) as response:
        assert response.status == 200
    arguments = {"Bucket": bucket, "Key": "a b/ü", "ResponseContentType": "text/x"}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", arguments)) as response:
        assert response.read() == LARGE
        assert response.headers["Content-Type"] == "text/x"


def test_unsupported_operations_are_named(s3: Any, bucket: str) -> None:
    error = error_of(s3.get_object_torrent, Bucket=bucket, Key="k")
    assert (error["Code"], error["Status"]) == ("NotImplemented", 501)
    assert "GetObjectTorrent" in error["Message"]


def test_files_go_up_and_come_down_through_the_transfer_manager(s3: Any, bucket: str, tmp_path: Path) -> None:
    content = os.urandom(17 << 20)
    (tmp_path / "up").write_bytes(content)
    s3.upload_file(str(tmp_path / "up"), bucket, "big", ExtraArgs={"ContentType": "x/y", "Metadata": {"a": "1"}})
    head = s3.head_object(Bucket=bucket, Key="big")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (len(content), "x/y", {"a": "1"})
    assert head["ETag"].endswith('-3"')
    s3.download_file(bucket, "big", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == content
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy")
    copied = io.BytesIO()
    s3.download_fileobj(bucket, "copy", copied)
    assert copied.getvalue() == content


def test_resources_of_boto3(server: ClaryServer, bucket: str) -> None:
    access_key, secret = server.keys
    resource = boto3.resource(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
    )
    for key in ("a/1", "a/2", "b"):
        resource.Object(bucket, key).put(Body=key.encode())
    assert [item.key for item in resource.Bucket(bucket).objects.filter(Prefix="a/")] == ["a/1", "a/2"]
    resource.Bucket(bucket).objects.all().delete()
    assert not list(resource.Bucket(bucket).objects.all())


@pytest.mark.parametrize(("trailer", "status"), [("AAAAAA==", 400), ("y/Q5Jg==", 200)])
@pytest.mark.parametrize("announced", [True, False])
def test_the_checksum_may_come_behind_the_body(
    server: ClaryServer, s3: Any, bucket: str, trailer: str, status: int, announced: bool
) -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "content-encoding": "gzip,aws-chunked"}
    if announced:
        headers["x-amz-sdk-checksum-algorithm"] = "CRC32"
    request = AWSRequest("PUT", f"{server.endpoint}/{bucket}/k", headers)
    # What botocore does over TLS: the body is neither signed nor hashed ahead.
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(Credentials(*server.keys), "s3", "us-east-1").add_auth(request)
    body = f"4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:{trailer}\r\n\r\n".encode()
    sent = urllib.request.Request(request.url, data=body, method="PUT", headers=dict(request.headers.items()))
    if status != 200:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(sent)
        with caught.value as error:
            assert (error.code, b"BadDigest" in error.read()) == (status, True)
        return
    with urllib.request.urlopen(sent):
        got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ContentEncoding"], got["ChecksumCRC32"]) == (b"123456789", "gzip", trailer)


def test_deletes_may_depend_on_what_is_there(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    for key, match, status in (("k", '"other"', 412), ("none", "*", 404), ("none", etag, 404)):
        assert error_of(s3.delete_object, Bucket=bucket, Key=key, IfMatch=match)["Status"] == status
    objects = [{"Key": "k", "ETag": "other"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [each["Code"] for each in answer["Errors"]] == ["PreconditionFailed"]
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)


def test_values_that_s3_does_not_know(s3: Any, bucket: str) -> None:
    for call, arguments, code in (
        (s3.put_object, {"Key": "k", "StorageClass": "ATTIC"}, "InvalidStorageClass"),
        (s3.list_objects_v2, {"EncodingType": "rot13"}, "InvalidArgument"),
        (s3.get_object_attributes, {"Key": "k", "ObjectAttributes": ["Colour"]}, "InvalidArgument"),
    ):
        assert error_of(call, Bucket=bucket, **arguments)["Code"] == code
