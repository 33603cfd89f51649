"""`clary scrub` finds what was changed behind the platform's back, and nothing else."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from clary.cli import main
from tests.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUCKET = "scrubbed"
LARGE = os.urandom(100_000)
PART = os.urandom(5 << 20)
KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path, botocore.session.Session(), encrypt=request.param)
    cloud.empty()
    yield cloud
    cloud.close()


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    """A client; the bucket holds one object of each sort."""
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_object(Bucket=BUCKET, Key="small", Body=b"1")
    client.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    client.put_object(Bucket=BUCKET, Key="mine", Body=LARGE, **KEY)
    client.put_object(Bucket=BUCKET, Key="kms", Body=LARGE, ServerSideEncryption="aws:kms", ChecksumAlgorithm="SHA256")
    upload = {"Bucket": BUCKET, "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload, ChecksumAlgorithm="CRC32")["UploadId"]
    parts = []
    for number, body in enumerate((PART, b"end"), 1):
        answer = client.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    upload = {"Bucket": BUCKET, "Key": "unfinished"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    client.upload_part(**upload, PartNumber=7, Body=b"begun")
    return client


@pytest.fixture
def scrub(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the command; answers its document and its exit status."""

    def run(*arguments: str) -> dict[str, Any]:
        status = main(["scrub", "--home", str(cloud.home), "--json", *arguments])
        return {**json.loads(capsys.readouterr().out), "Status": status}

    return run


def file_of(cloud: Cloud, key: str, part: int = 0) -> Path:
    version = cloud.parts.platform.objects.index.get(BUCKET, key, content=True)
    assert version is not None
    file = version.file
    if part:
        file = cloud.parts.platform.objects.uploads.parts(str(version.upload_id))[part - 1].file
    return cloud.home / "objects" / "contents" / str(file)[:2] / str(file)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.usefixtures("s3")
def test_what_is_whole_is_found_whole(scrub: Callable[..., dict[str, Any]]) -> None:
    report = scrub()
    assert (report["Status"], report["Findings"]) == (0, [])
    assert (report["Objects"], report["Sealed"]) == (6, 1)
    assert report["Bytes"] == 1 + 3 * len(LARGE) + len(PART) + len(b"end") + len(b"begun")


def test_all_damage_is_found(s3: Any, cloud: Cloud, scrub: Callable[..., dict[str, Any]], capsys: Any) -> None:
    flip(file_of(cloud, "large"), 70_000)
    flip(file_of(cloud, "kms"), 5)
    file_of(cloud, "mine").write_bytes(b"short")
    flip(file_of(cloud, "parts", part=1), 4 << 20)
    file_of(cloud, "parts", part=2).unlink()
    report = scrub()
    found = {(each["key"], each["part"], each["problem"]) for each in report["Findings"]}
    assert found == {
        ("large", 0, "damaged"),
        ("kms", 0, "damaged"),
        ("mine", 0, "damaged"),
        ("parts", 1, "damaged"),
        ("parts", 2, "missing"),
    }
    assert (report["Status"], report["Damaged"], report["Missing"]) == (1, 4, 1)
    assert main(["scrub", "--home", str(cloud.home), BUCKET]) == 1
    assert f"missing   s3://{BUCKET}/parts, part 2: " in capsys.readouterr().out
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 5


def test_rows_that_do_not_fit_together_are_found(s3: Any, cloud: Cloud, scrub: Callable[..., dict[str, Any]]) -> None:
    with cloud.parts.database.write() as connection:
        connection.execute("UPDATE objects SET etag = ? WHERE key = 'parts'", (f'"{"0" * 32}-2"',))
        connection.execute("DELETE FROM parts WHERE size = 5")
        connection.execute("UPDATE objects SET size = 2 WHERE key = 'small'")
    found = {(each["key"], each["problem"]) for each in scrub(BUCKET)["Findings"]}
    assert found == {("parts", "damaged"), ("small", "damaged")}
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 5


@pytest.mark.usefixtures("s3")
def test_orphans_are_told_and_removed_only_when_asked(cloud: Cloud, scrub: Callable[..., dict[str, Any]]) -> None:
    whole = file_of(cloud, "large")
    orphan = whole.with_name(f"{whole.name}-orphan")
    orphan.write_bytes(b"1")
    report = scrub()
    assert (report["Status"], report["Orphaned"], report["Removed"]) == (0, 1, 0)
    assert orphan.exists()
    assert scrub("--remove-orphans")["Removed"] == 1
    assert not orphan.exists()
    assert scrub()["Findings"] == []


def test_a_storage_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("CLARY_OBJECTS", "s3://box?secret=x")
    assert main(["scrub", "--home", str(tmp_path)]) == 1
    assert "CLARY_OBJECTS" in capsys.readouterr().err
