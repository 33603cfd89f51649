"""What a `kill -9` in the middle of a write leaves behind."""

from __future__ import annotations

import hashlib
import http.client
import io
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = b"o" * 200_000
NEW = b"n" * 3_000_000
PART = 5 << 20


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(own_server: ClaryServer) -> Any:
    client = own_server.client("s3")
    client.create_bucket(Bucket="crash-test")
    client.put_object(Bucket="crash-test", Key="k", Body=OLD)
    return client


def restart(server: ClaryServer) -> None:
    server.kill()
    server.start()


def send_half(url: str, content: bytes) -> http.client.HTTPConnection:
    """Sends the head of a request and half of its body."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.putrequest("PUT", f"{address.path}?{address.query}")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders()
    connection.send(content[: len(content) // 2])
    return connection


def content_files(server: ClaryServer) -> list[Path]:
    folders = [server.home / "objects" / name for name in ("incoming", "contents")]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def incoming_bytes(server: ClaryServer) -> int:
    return sum(path.stat().st_size for path in (server.home / "objects" / "incoming").iterdir())


def wait_for_bytes(server: ClaryServer) -> None:
    """Until the server is really in the middle of it."""
    deadline = time.monotonic() + 10
    while not incoming_bytes(server):
        assert time.monotonic() < deadline


def test_a_put_that_was_cut_off_leaves_the_old_object(own_server: ClaryServer, s3: Any) -> None:
    url = s3.generate_presigned_url("put_object", {"Bucket": "crash-test", "Key": "k"})
    connection = send_half(url, NEW)
    wait_for_bytes(own_server)
    restart(own_server)
    connection.close()
    assert s3.get_object(Bucket="crash-test", Key="k")["Body"].read() == OLD
    assert len(content_files(own_server)) == 1


def test_a_put_that_was_answered_stays(own_server: ClaryServer, s3: Any) -> None:
    for number, content in enumerate((b"small", NEW)):
        s3.put_object(Bucket="crash-test", Key=f"new-{number}", Body=content)
    s3.put_object(Bucket="crash-test", Key="k", Body=NEW)
    restart(own_server)
    assert s3.get_object(Bucket="crash-test", Key="new-0")["Body"].read() == b"small"
    assert s3.get_object(Bucket="crash-test", Key="new-1")["Body"].read() == NEW
    assert s3.get_object(Bucket="crash-test", Key="k")["Body"].read() == NEW
    assert not incoming_bytes(own_server)


def test_an_upload_goes_on_after_a_crash(own_server: ClaryServer, s3: Any) -> None:
    here = {"Bucket": "crash-test", "Key": "k"}
    here["UploadId"] = s3.create_multipart_upload(**here)["UploadId"]
    contents = [b"1" * PART, b"2" * PART]
    etags = [s3.upload_part(**here, PartNumber=1, Body=io.BytesIO(contents[0]))["ETag"]]
    url = s3.generate_presigned_url("upload_part", {**here, "PartNumber": 2})
    connection = send_half(url, contents[1])
    wait_for_bytes(own_server)
    restart(own_server)
    connection.close()
    assert [part["PartNumber"] for part in s3.list_parts(**here)["Parts"]] == [1]
    assert s3.get_object(Bucket="crash-test", Key="k")["Body"].read() == OLD
    etags.append(s3.upload_part(**here, PartNumber=2, Body=contents[1])["ETag"])
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**here, MultipartUpload={"Parts": parts})
    restart(own_server)
    got = s3.get_object(Bucket="crash-test", Key="k")["Body"].read()
    assert hashlib.sha256(got).digest() == hashlib.sha256(b"".join(contents)).digest()
    # Replaced content goes after a while, in which somebody may still read it.
    assert len(content_files(own_server)) == 3
