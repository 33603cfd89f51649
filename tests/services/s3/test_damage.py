"""Bytes that are not there any more: the client hears of it and gets no other ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import IncompleteReadError, ResponseStreamingError

from clary.services.s3.errors import EntityTooLarge
from clary.services.s3.objects import MAX_PUT_BYTES, limited
from tests.conftest import short_home
from tests.server import ClaryServer
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BUCKET = "damage"
LARGE = bytes(range(256)) * 16_000


@pytest.fixture(scope="module", params=["no", "yes"], ids=["plain", "encrypted"])
def own_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    server = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_ENCRYPT": request.param})
    server.start()
    server.client("s3").create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


def file_of(server: ClaryServer, s3: Any) -> Path:
    """The content file of a fresh object `k`."""
    before = set((server.home / "objects" / "contents").rglob("*"))
    s3.put_object(Bucket=BUCKET, Key="k", Body=LARGE)
    (file,) = (
        path for path in (server.home / "objects" / "contents").rglob("*") if path.is_file() and path not in before
    )
    return file


def test_a_download_of_a_file_that_ends_too_early_breaks_off(own_server: ClaryServer) -> None:
    s3 = own_server.client("s3")
    file = file_of(own_server, s3)
    with file.open("r+b") as content:
        content.truncate(3_000_000)
    got = s3.get_object(Bucket=BUCKET, Key="k")
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        got["Body"].read()
    # What lies before the damage can still be had.
    assert s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=0-99999")["Body"].read() == LARGE[:100_000]
    assert error_of(s3.get_object, Bucket=BUCKET, Key="k", Range="bytes=4000000-")["Status"] == 500
    assert "Damaged" in (own_server.home / "server.log").read_text()


def test_a_file_that_is_gone_is_an_error_before_the_answer_begins(own_server: ClaryServer) -> None:
    s3 = own_server.client("s3")
    file_of(own_server, s3).unlink()
    refused = error_of(s3.get_object, Bucket=BUCKET, Key="k")
    assert (refused["Code"], refused["Status"]) == ("InternalError", 500)
    assert error_of(s3.copy_object, Bucket=BUCKET, CopySource=f"{BUCKET}/k", Key="copy")["Status"] == 500
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_a_body_is_refused_as_soon_as_it_is_too_large() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        chunk = bytes(256 << 20)
        while True:
            taken += len(chunk)
            yield chunk

    async def take() -> None:
        async for _ in limited(endless()):
            pass

    with pytest.raises(EntityTooLarge):
        asyncio.run(take())
    assert taken == MAX_PUT_BYTES + (256 << 20)
