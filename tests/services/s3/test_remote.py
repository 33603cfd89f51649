"""Objects whose bytes lie in another S3 server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from tests.cloud import Cloud
from tests.peers import RcloneServer, rclone
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "far"
LARGE = os.urandom(1 << 20) * 9
PART = LARGE[: 5 << 20]


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[RcloneServer]:
    program = rclone()
    if program is None:
        pytest.skip("there is no rclone here")
    running = RcloneServer(program, tmp_path / "peer" / "buckets")
    (running.folder / "box").mkdir(parents=True)
    running.start()
    yield running
    running.stop()


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def cloud(request: pytest.FixtureRequest, peer: RcloneServer, tmp_path: Path) -> Iterator[Cloud]:
    settings = {"objects": peer.address("box/clary"), "encrypt": request.param}
    cloud = Cloud(tmp_path / "home", botocore.session.Session(), **settings)
    cloud.empty()
    yield cloud
    cloud.close()


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def contents(peer: RcloneServer) -> list[Path]:
    return [path for path in (peer.folder / "box").rglob("*") if path.is_file()]


def test_everything_works_as_with_a_folder(s3: Any, peer: RcloneServer) -> None:
    for key, content, files in (("small", b"1", 0), ("large", LARGE, 1)):
        here = {"Bucket": BUCKET, "Key": key}
        s3.put_object(**here, Body=content)
        assert len(contents(peer)) == files
        assert s3.get_object(**here)["Body"].read() == content
        assert s3.get_object(**here, Range="bytes=-1")["Body"].read() == content[-1:]
    s3.copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/large", Key="copy")
    here = {"Bucket": BUCKET, "Key": "parts"}
    upload = {**here, "UploadId": s3.create_multipart_upload(**here)["UploadId"]}
    etags = [
        s3.upload_part(**upload, PartNumber=1, Body=PART)["ETag"],
        s3.upload_part_copy(**upload, PartNumber=2, CopySource=f"{BUCKET}/copy")["CopyPartResult"]["ETag"],
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    s3.delete_object(Bucket=BUCKET, Key="large")
    assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == LARGE
    assert s3.get_object(**here)["Body"].read() == PART + LARGE
    assert s3.get_object(**here, Range=f"bytes={len(PART) - 2}-{len(PART) + 1}")["Body"].read() == PART[-2:] + LARGE[:2]


def test_objects_of_a_folder_are_not_left_behind_unseen(peer: RcloneServer, tmp_path: Path) -> None:
    here = Cloud(tmp_path / "other", botocore.session.Session())
    here.empty()
    s3 = here.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=BUCKET, Key="k", Body=LARGE)
    here.close()
    with pytest.raises(ValueError, match="still holds contents"):
        Cloud(tmp_path / "other", botocore.session.Session(), objects=peer.address("box/other"))
    (file,) = (path for path in (tmp_path / "other" / "objects" / "contents").rglob("*") if path.is_file())
    peer.client().put_object(Bucket="box", Key=f"other/{file.name}", Body=file.read_bytes())
    file.unlink()
    there = Cloud(tmp_path / "other", botocore.session.Session(), objects=peer.address("box/other"))
    there.root = here.root
    assert there.client("s3").get_object(Bucket=BUCKET, Key="k")["Body"].read() == LARGE
    there.close()


def test_a_missing_content_is_an_error(s3: Any, peer: RcloneServer) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=LARGE)
    for path in contents(peer):
        peer.client().delete_object(Bucket="box", Key=str(path.relative_to(peer.folder / "box")))
    assert error_of(s3.get_object, Bucket=BUCKET, Key="k")["Status"] == 500


def test_a_storage_that_is_away_is_told_and_changes_nothing(s3: Any, peer: RcloneServer) -> None:
    here = {"Bucket": BUCKET, "Key": "k"}
    s3.put_object(**here, Body=LARGE)
    peer.stop()
    for call in (s3.get_object, s3.put_object):
        refused = error_of(call, **here, **({"Body": PART} if call == s3.put_object else {}))
        assert (refused["Code"], refused["Status"]) == ("ServiceUnavailable", 503)
    s3.put_object(Bucket=BUCKET, Key="small", Body=b"1")
    assert s3.head_object(**here)["ContentLength"] == len(LARGE)
    peer.start()
    assert s3.get_object(**here)["Body"].read() == LARGE
