"""The contract of places for content files, over all of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.http import BytesBody, Damaged
from clary.store.objects.bucket import PART_BYTES, PARTS_AT_ONCE, Bucket
from clary.store.objects.errors import StorageFull, StorageSlow, StorageUnavailable
from clary.store.objects.folder import Folder
from clary.store.objects.opening import bucket_at
from clary.store.objects.receive import receive
from tests.peers import RcloneServer, rclone
from tests.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from clary.errors import ServiceError
    from clary.http import Stored
    from clary.store.objects.files import Files

MB = 1 << 20
CONTENT = os.urandom(MB) * 20


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    program = rclone()
    if program is None:
        pytest.skip("there is no rclone here")
    running = RcloneServer(program, tmp_path_factory.mktemp("peer") / "buckets")
    (running.folder / "box").mkdir(parents=True)
    running.start()
    yield running
    running.stop()


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "folder":
        return Folder(tmp_path, durable=False)
    peer: RcloneServer = request.getfixturevalue("peer")
    shutil.rmtree(peer.folder / "box" / "clary", ignore_errors=True)
    return bucket_at(peer.address("box/clary"))


def write(files: Files, content: bytes) -> str:
    incoming = files.create()
    for begin in range(0, len(content), MB):
        incoming.write(content[begin : begin + MB])
    return incoming.finish()


def joined(body: Stored) -> bytes:
    async def read() -> bytes:
        return b"".join([chunk async for chunk in body])

    content = asyncio.run(read())
    assert b"".join(body.chunks()) == content
    return content


@pytest.mark.parametrize("size", [1, MB, PART_BYTES, PART_BYTES + 1, 20 * MB])
def test_what_was_written_comes_back(files: Files, size: int) -> None:
    name = write(files, CONTENT[:size])
    files.release(name)
    assert files.size(name) == size
    assert joined(files.read(name, 0, size)) == CONTENT[:size]
    assert joined(files.read(name, size // 2, size - size // 2)) == CONTENT[size // 2 : size]


def test_a_link_outlives_the_file(files: Files) -> None:
    name = write(files, CONTENT[:MB])
    copy = files.link(name)
    assert copy not in ("", name)
    files.remove(name)
    files.remove(name)
    files.release(copy)
    assert joined(files.read(copy, 0, MB)) == CONTENT[:MB]
    with pytest.raises(Damaged):
        files.size(name)
    with pytest.raises(Damaged):
        joined(files.read(name, 0, MB))


def test_a_file_that_is_shorter_than_it_was_is_damaged(files: Files) -> None:
    name = write(files, CONTENT[:MB])
    with pytest.raises(Damaged):
        joined(files.read(name, MB - 10, 20))


@pytest.mark.parametrize("size", [MB, 20 * MB])
def test_what_is_abandoned_leaves_nothing(
    files: Files, tmp_path: Path, size: int, request: pytest.FixtureRequest
) -> None:
    incoming = files.create()
    incoming.write(CONTENT[:size])
    incoming.abandon()
    place = tmp_path if isinstance(files, Folder) else request.getfixturevalue("peer").folder
    assert not [path for path in place.rglob("*") if path.is_file()]


def test_a_write_after_the_end_reaches_no_other_file(tmp_path: Path) -> None:
    incoming = Folder(tmp_path, durable=False).create()
    incoming.abandon()
    with (tmp_path / "other").open("wb", buffering=0) as other:
        with pytest.raises(OSError, match="Bad file descriptor"):
            incoming.write(b"late")
        assert os.fstat(other.fileno()).st_size == 0


def test_a_stream_that_nobody_reads_to_its_end_is_given_up(files: Files) -> None:
    name = write(files, CONTENT)

    async def read_some() -> bytes:
        async for chunk in files.read(name, 0, len(CONTENT)):
            return chunk
        return b""

    assert CONTENT.startswith(asyncio.run(read_some()))


def test_a_server_that_is_away_is_told_and_nothing_stays(tmp_path: Path) -> None:
    client = botocore.session.Session().create_client(
        "s3", "eu-west-1", endpoint_url=f"http://127.0.0.1:{free_port()}", aws_access_key_id="k",
        aws_secret_access_key="s", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    bucket = Bucket(client, "box", "")
    for content in (CONTENT[:MB], CONTENT):
        with pytest.raises(StorageUnavailable):
            asyncio.run(receive(BytesBody(content), (), bucket, None, in_file=True))
    with pytest.raises(StorageUnavailable):
        joined(bucket.read("name", 0, 1))
    with pytest.raises(ValueError, match="cannot be used"):
        bucket.check()


def test_parts_wait_for_each_other() -> None:
    class SlowClient:
        """Takes parts in only when told to."""

        def __init__(self) -> None:
            self.under_way = 0
            self.go = threading.Event()

        def create_multipart_upload(self, **_: object) -> dict[str, str]:
            return {"UploadId": "u"}

        def upload_part(self, **_: object) -> dict[str, str]:
            self.under_way += 1
            self.go.wait()
            return {"ETag": "e"}

        def complete_multipart_upload(self, **_: object) -> None:
            """Takes it."""

    client = SlowClient()
    incoming = Bucket(client, "box", "").create()
    writer = threading.Thread(target=lambda: incoming.write(bytes(100 * MB)))
    writer.start()
    deadline = time.monotonic() + 10
    while client.under_way < PARTS_AT_ONCE:
        assert time.monotonic() < deadline
    assert client.under_way == PARTS_AT_ONCE
    assert writer.is_alive()
    client.go.set()
    writer.join()
    assert incoming.finish()


@pytest.mark.parametrize(
    "address",
    ["http://box", "s3://", "s3:///prefix", "s3://box?endpoint=http://h&secret=x", "s3://box?endpoint=nowhere"],
)
def test_addresses_that_name_no_bucket_are_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="CLARY_OBJECTS") as caught:
        bucket_at(address)
    assert "secret=x" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("InsufficientStorage", 507, StorageFull),
        ("XMinioStorageFull", 500, StorageFull),
        ("SlowDown", 503, StorageSlow),
        ("InternalError", 500, StorageUnavailable),
        ("AccessDenied", 403, StorageUnavailable),
    ],
)
def test_what_the_server_refuses_is_told_in_our_words(code: str, status: int, expected: type[ServiceError]) -> None:
    class RefusingClient:
        """Answers one error to everything."""

        def __getattr__(self, name: str) -> Callable[..., None]:
            def refuse(**_: object) -> None:
                answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
                raise ClientError(answer, name)

            return refuse

    bucket = Bucket(RefusingClient(), "box", "")
    for content in (CONTENT[:MB], CONTENT):
        with pytest.raises(expected):
            asyncio.run(receive(BytesBody(content), (), bucket, None, in_file=True))
    with pytest.raises(expected):
        joined(bucket.read("name", 0, 1))
    with pytest.raises(expected):
        bucket.remove("name")
    assert bucket.link("name") == ""
