from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from clary.store.database import Unavailable
from clary.store.flushes import Flushes
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SlowDisk(SqliteDatabase):
    """Flushes when it is told to, and fails when it is told so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.flushes = 0
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.broken = False

    def sync(self) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        if self.broken:
            raise Unavailable
        self.flushes += 1
        super().sync()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    disk = SlowDisk(tmp_path / "clary.db")
    yield disk
    disk.close()


def write(disk: SlowDisk) -> None:
    with disk.write() as connection:
        connection.execute("INSERT INTO contents (bytes) VALUES (?)", (b"",))


async def begun(disk: SlowDisk) -> None:
    assert await asyncio.to_thread(disk.begun.acquire, timeout=10)


def test_who_comes_during_a_flush_shares_the_next(disk: SlowDisk) -> None:
    async def run() -> None:
        flushes = Flushes(disk)
        write(disk)
        first = asyncio.create_task(flushes.done())
        await begun(disk)
        write(disk)
        others = [asyncio.create_task(flushes.done()) for _ in range(5)]
        await asyncio.sleep(0)
        disk.go_on.release()
        await first
        await begun(disk)
        assert not any(other.done() for other in others)
        disk.go_on.release()
        await asyncio.gather(*others)

    asyncio.run(run())
    assert disk.flushes == 2


def test_who_waits_hears_that_it_failed_and_later_ones_that_it_did_not(disk: SlowDisk) -> None:
    async def run() -> None:
        flushes = Flushes(disk)
        disk.broken = True
        write(disk)
        disk.go_on.release()
        with pytest.raises(Unavailable):
            await flushes.done()
        disk.broken = False
        disk.go_on.release()
        await flushes.done()

    asyncio.run(run())
    assert not disk.unsynced


def test_who_has_gone_keeps_nobody_from_being_told(disk: SlowDisk) -> None:
    async def run() -> None:
        flushes = Flushes(disk)
        write(disk)
        gone, here = (asyncio.create_task(flushes.done()) for _ in range(2))
        await begun(disk)
        gone.cancel()
        disk.go_on.release()
        await here

    asyncio.run(run())


def test_what_is_not_to_be_flushed_is_done_at_once(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "clary.db", durable=False)
    with database.write() as connection:
        connection.execute("INSERT INTO contents (bytes) VALUES (?)", (b"",))
    asyncio.run(Flushes(database).done())
    database.close()
