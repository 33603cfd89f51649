"""Encryption at rest, with keys of the platform and of customers, as boto3 sees it and as the disk does."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from tests.cloud import Cloud
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "sealed"
SMALL = b"a secret that fits into a row"
LARGE = os.urandom(100) * 3000
PART = os.urandom(5 << 20)
KEY = os.urandom(32)
OTHER = os.urandom(32)
BROUGHT = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
BROUGHT_OTHER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER}
REPLACED = {"MetadataDirective": "REPLACE"}
ENCODED = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": b64encode(KEY).decode(),
    "SSECustomerKeyMD5": b64encode(hashlib.md5(KEY).digest()).decode(),
}
SOURCE = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "encrypted"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A platform with, and one without encryption of all objects."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), botocore.session.Session(), encrypt=request.param)
    cloud.empty()
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def s3(home: Cloud) -> Any:
    client = home.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def on_disk(cloud: Cloud) -> bytes:
    """Everything that whoever steals the disk could read."""
    return b"".join(path.read_bytes() for path in cloud.home.rglob("*") if path.is_file())


def body(s3: Any, key: str, **options: Any) -> bytes:
    content: bytes = s3.get_object(Bucket=BUCKET, Key=key, **options)["Body"].read()
    return content


@pytest.mark.parametrize("content", [b"", SMALL, LARGE])
def test_objects_and_ranges_come_back(s3: Any, content: bytes) -> None:
    put = s3.put_object(Bucket=BUCKET, Key="k", Body=content)
    assert put["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert put["ServerSideEncryption"] == "AES256"
    assert body(s3, "k") == content
    if content:
        assert body(s3, "k", Range="bytes=3-9") == content[3:10]
        assert body(s3, "k", Range="bytes=-7") == content[-7:]


def test_the_disk_tells_nothing_when_all_is_encrypted(s3: Any, home: Cloud) -> None:
    mark = os.urandom(16).hex().encode()
    s3.put_object(Bucket=BUCKET, Key="small", Body=mark)
    s3.put_object(Bucket=BUCKET, Key="large", Body=mark * 4000)
    assert (mark in on_disk(home)) is not home.parts.platform.settings.encrypt


@pytest.mark.parametrize("size", [16, 40_000])
def test_with_a_key_of_a_customer_the_disk_never_tells_anything(s3: Any, home: Cloud, size: int) -> None:
    mark = os.urandom(size // 2).hex().encode()
    put = s3.put_object(Bucket=BUCKET, Key="mine", Body=mark, **BROUGHT)
    assert put["SSECustomerAlgorithm"] == "AES256"
    assert put["SSECustomerKeyMD5"] == b64encode(hashlib.md5(KEY).digest()).decode()
    assert "ServerSideEncryption" not in put
    assert put["ETag"] != f'"{hashlib.md5(mark).hexdigest()}"'
    assert body(s3, "mine", **BROUGHT) == mark
    assert body(s3, "mine", Range="bytes=5-8", **BROUGHT) == mark[5:9]
    assert s3.head_object(Bucket=BUCKET, Key="mine", **BROUGHT)["SSECustomerAlgorithm"] == "AES256"
    stolen = on_disk(home)
    assert mark not in stolen
    assert KEY not in stolen
    assert b64encode(KEY) not in stolen


def test_a_key_of_a_customer_is_needed_to_read(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="mine", Body=SMALL, **BROUGHT)
    there = {"Bucket": BUCKET, "Key": "mine"}
    missing = error_of(s3.get_object, **there)
    assert (missing["Code"], missing["Status"]) == ("InvalidRequest", 400)
    assert missing["Message"].startswith("The object was stored using a form of Server Side Encryption.")
    wrong = error_of(s3.get_object, **there, **BROUGHT_OTHER)
    assert (wrong["Code"], wrong["Status"]) == ("AccessDenied", 403)
    assert error_of(s3.head_object, **there)["Status"] == 400
    assert error_of(s3.head_object, **there, **BROUGHT_OTHER)["Status"] == 403
    attributes = {**there, "ObjectAttributes": ["ETag"]}
    assert error_of(s3.get_object_attributes, **attributes)["Status"] == 400
    assert s3.get_object_attributes(**attributes, **ENCODED)["ETag"]
    s3.delete_object(**there)


def test_a_key_that_is_not_needed_is_refused(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=SMALL)
    refused = error_of(s3.get_object, Bucket=BUCKET, Key="k", **BROUGHT)
    assert (refused["Code"], refused["Status"]) == ("InvalidRequest", 400)
    assert refused["Message"] == "The encryption parameters are not applicable to this object."


@pytest.mark.parametrize(
    ("members", "code", "begin"),
    [
        ({"SSECustomerKey": KEY}, "InvalidArgument", "Requests specifying Server Side Encryption with Customer pro"),
        ({"SSECustomerAlgorithm": "AES256"}, "InvalidArgument", "Requests specifying Server Side Encryption with Cus"),
        ({**BROUGHT, "SSECustomerAlgorithm": "AES128"}, "InvalidEncryptionAlgorithmError", "The Encryption request"),
        ({**BROUGHT, "SSECustomerKey": b"short"}, "InvalidArgument", "The secret key was invalid"),
        ({**BROUGHT, "SSECustomerKey": b64encode(KEY).decode(), "SSECustomerKeyMD5": "eA=="}, "InvalidArgument",
         "The calculated MD5 hash of the key did not match"),
        ({**BROUGHT, "ServerSideEncryption": "AES256"}, "InvalidArgument", "Server Side Encryption with Customer pro"),
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "k"}, "InvalidArgument", "Server Side Encryption with AWS"),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "?"}, "InvalidArgument", "The header 'x-amz-"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(s3: Any, members: dict[str, Any], code: str, begin: str) -> None:
    refused = error_of(s3.put_object, Bucket=BUCKET, Key="refused", Body=b"1", **members)
    assert (refused["Code"], refused["Status"]) == (code, 400)
    assert refused["Message"].startswith(begin)


def test_keys_of_kms_are_told_with_their_arn(s3: Any) -> None:
    here = {"Bucket": BUCKET, "Key": "kms"}
    context = b64encode(b'{"project": "x"}').decode()
    put = s3.put_object(
        **here,
        Body=SMALL,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="12345678-1234-1234-1234-123456789012",
        SSEKMSEncryptionContext=context,
        BucketKeyEnabled=True,
    )
    arn = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    assert (put["SSEKMSKeyId"], put["BucketKeyEnabled"], put["SSEKMSEncryptionContext"]) == (arn, True, context)
    assert put["ETag"] != f'"{hashlib.md5(SMALL).hexdigest()}"'
    got = s3.get_object(**here)
    assert (got["ServerSideEncryption"], got["SSEKMSKeyId"], got["BucketKeyEnabled"]) == ("aws:kms", arn, True)
    assert got["Body"].read() == SMALL
    own = s3.put_object(**here, Body=SMALL, ServerSideEncryption="aws:kms:dsse")["SSEKMSKeyId"]
    assert own == s3.put_object(**here, Body=b"", ServerSideEncryption="aws:kms")["SSEKMSKeyId"]


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_copies_change_how_an_object_is_encrypted(s3: Any, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key="mine", Body=content, **BROUGHT)
    source = {"Bucket": BUCKET, "CopySource": f"{BUCKET}/mine"}
    refused = error_of(s3.copy_object, **source, Key="copy")
    assert (refused["Code"], refused["Status"]) == ("InvalidRequest", 400)
    s3.copy_object(**source, Key="copy", **SOURCE)
    got = s3.get_object(Bucket=BUCKET, Key="copy")
    assert got["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert got["ServerSideEncryption"] == "AES256"
    assert got["Body"].read() == content
    s3.copy_object(**source, Key="again", **SOURCE, **BROUGHT_OTHER)
    assert body(s3, "again", **BROUGHT_OTHER) == content
    for kms in ("aws:kms", "AES256"):
        s3.copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/copy", Key="copy", ServerSideEncryption=kms)
        opaque = s3.head_object(Bucket=BUCKET, Key="copy")["ETag"] != f'"{hashlib.md5(content).hexdigest()}"'
        assert opaque is (kms == "aws:kms")
        assert body(s3, "copy") == content


def test_parts_are_encrypted_with_the_key_of_their_upload(s3: Any, home: Cloud) -> None:
    here = {"Bucket": BUCKET, "Key": "parts"}
    upload = {**here, "UploadId": s3.create_multipart_upload(**here, **BROUGHT)["UploadId"]}
    for other in ({}, BROUGHT_OTHER):
        assert error_of(s3.upload_part, **upload, PartNumber=1, Body=b"1", **other)["Code"] == "InvalidRequest"
    s3.put_object(Bucket=BUCKET, Key="source", Body=PART)
    first = s3.upload_part(**upload, PartNumber=1, Body=PART, **BROUGHT)
    second = s3.upload_part_copy(
        **upload, PartNumber=2, CopySource=f"{BUCKET}/source", CopySourceRange="bytes=100-70099", **BROUGHT
    )
    assert first["SSECustomerAlgorithm"] == second["SSECustomerAlgorithm"] == "AES256"
    etags = [first["ETag"], second["CopyPartResult"]["ETag"]]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **BROUGHT)
    assert done["ETag"].endswith('-2"')
    whole = PART + PART[100:70100]
    assert body(s3, "parts", **BROUGHT) == whole
    assert body(s3, "parts", Range=f"bytes={len(PART) - 5}-{len(PART) + 4}", **BROUGHT) == whole[len(PART) - 5 :][:10]
    assert body(s3, "parts", PartNumber=2, **BROUGHT) == PART[100:70100]
    s3.delete_object(Bucket=BUCKET, Key="source")


def test_the_default_of_the_bucket_is_checked(s3: Any) -> None:
    def put(*rules: dict[str, Any]) -> None:
        s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": list(rules)})

    kms = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
    with_key = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}}
    assert error_of(put)["Code"] == "MalformedXML"
    assert error_of(lambda: put(kms, kms))["Code"] == "MalformedXML"
    assert error_of(lambda: put(with_key))["Code"] == "InvalidArgument"
    put(kms)
    told = s3.put_object(Bucket=BUCKET, Key="k", Body=SMALL)
    assert (told["ServerSideEncryption"], told["BucketKeyEnabled"]) == ("aws:kms", True)
    put({"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}})
    refused = error_of(s3.put_object, Bucket=BUCKET, Key="k", Body=SMALL, **BROUGHT)
    assert (refused["Code"], refused["Status"]) == ("AccessDenied", 403)
    s3.delete_bucket_encryption(Bucket=BUCKET)
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules == [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]


def test_damage_is_an_error_rather_than_other_bytes(s3: Any, home: Cloud) -> None:
    s3.put_object(Bucket=BUCKET, Key="damaged", Body=LARGE)
    version = home.parts.platform.objects.index.get(BUCKET, "damaged", content=True)
    assert version is not None
    file = home.home / "objects" / "contents" / str(version.file)[:2] / str(version.file)
    whole = file.read_bytes()
    file.write_bytes(b"")
    assert error_of(s3.get_object, Bucket=BUCKET, Key="damaged")["Status"] == 500
    if home.parts.platform.settings.encrypt:
        file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        assert error_of(s3.get_object, Bucket=BUCKET, Key="damaged")["Status"] == 500
    file.unlink()
    assert error_of(s3.get_object, Bucket=BUCKET, Key="damaged")["Status"] == 500


def test_objects_from_before_the_setting_stay_readable(tmp_path: Path) -> None:
    contents = {False: (SMALL, LARGE), True: (SMALL[::-1], LARGE[::-1])}
    for encrypt in (False, True, False):
        cloud = Cloud(tmp_path, botocore.session.Session(), encrypt=encrypt)
        cloud.empty()
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for number, content in enumerate(contents[encrypt]):
            s3.put_object(Bucket=BUCKET, Key=f"{encrypt}-{number}", Body=content)
            s3.copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/{encrypt}-{number}", Key=f"copy-{encrypt}-{number}")
        for listed in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
            *_, was, number = listed["Key"].split("-")
            assert body(s3, listed["Key"]) == contents[was == "True"][int(number)]
            s3.copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/{listed['Key']}", Key=listed["Key"], **REPLACED)
            assert body(s3, listed["Key"]) == contents[was == "True"][int(number)]
        cloud.close()


def test_an_object_is_put_under_another_key_without_being_moved(s3: Any) -> None:
    here = {"Bucket": BUCKET, "Key": "updated"}
    arn = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    before = s3.put_object(**here, Body=SMALL)

    def update(key: str = arn) -> None:
        s3.update_object_encryption(**here, ObjectEncryption={"SSEKMS": {"KMSKeyArn": key, "BucketKeyEnabled": True}})

    update()
    after = s3.get_object(**here)
    assert (after["ServerSideEncryption"], after["SSEKMSKeyId"], after["BucketKeyEnabled"]) == ("aws:kms", arn, True)
    assert (after["ETag"], after["Body"].read()) == (before["ETag"], SMALL)
    assert error_of(lambda: update("arn:aws:kms:eu-west-1:210987654321:key/other-account"))["Code"] == "AccessDenied"
    s3.put_object(**here, Body=SMALL, **BROUGHT)
    refused = error_of(update)
    assert (refused["Code"], refused["Status"]) == ("InvalidRequest", 400)
    assert "SSE-C" in refused["Message"]
