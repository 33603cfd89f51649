from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from clary.store.keyring import KEY_BYTES, Keyring
from clary.store.objects import Content, Meta, NewObject, Objects, Version
from clary.store.objects.folder import Folder
from clary.store.objects.group import MOST
from clary.store.objects.sealing import Seals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clary.store.database import Database

BUCKET = "bucket"


class Refused(Exception):
    """A write that is not to be."""


@pytest.fixture
def objects(tmp_path: Path, database: Database) -> Iterator[Objects]:
    folder = tmp_path / "objects"
    objects = Objects(database, Folder(folder, durable=False), Seals(Keyring(bytes(KEY_BYTES)), encrypt=False), folder)
    yield objects
    objects.close()


async def put(objects: Objects, key: str, *, refused: bool = False) -> Version:
    def write() -> Version:
        content = Content(1, "", '""', {}, key[-1:].encode())
        version = objects.index.put(NewObject(BUCKET, key, 1, '""', 1.0, None, Meta()), content, "Enabled")
        if refused:
            raise Refused
        return version

    return await objects.group.write(write)


def test_writes_that_come_together_are_committed_together(objects: Objects, database: Database) -> None:
    async def write() -> list[Version]:
        return await asyncio.gather(*(put(objects, f"k{number}") for number in range(2 * MOST)))

    before = database.written
    versions = asyncio.run(write())
    assert database.written == before + 2
    assert [version.key for version in versions] == [f"k{number}" for number in range(2 * MOST)]
    assert all(objects.index.get(BUCKET, version.key) == version for version in versions)


def test_one_that_is_refused_undoes_no_other(objects: Objects) -> None:
    async def write() -> list[Version | BaseException]:
        writes = (put(objects, f"k{number}", refused=number == 1) for number in range(3))
        return await asyncio.gather(*writes, return_exceptions=True)

    first, second, third = asyncio.run(write())
    assert isinstance(second, Refused)
    assert [objects.index.get(BUCKET, f"k{number}") for number in range(3)] == [first, None, third]


def test_nothing_is_written_for_who_has_gone(objects: Objects) -> None:
    async def write() -> None:
        leaving, staying = (asyncio.create_task(put(objects, key)) for key in ("gone", "here"))
        # Until it waits for its transaction.
        await asyncio.sleep(0)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await staying

    asyncio.run(write())
    assert objects.index.get(BUCKET, "gone") is None
    assert objects.index.get(BUCKET, "here") is not None


def test_a_write_that_comes_in_the_next_round_is_in_time(objects: Objects, database: Database) -> None:
    async def later() -> Version:
        await asyncio.sleep(0)
        return await put(objects, "later")

    async def write() -> None:
        await asyncio.gather(put(objects, "first"), later())

    before = database.written
    asyncio.run(write())
    assert database.written == before + 1
