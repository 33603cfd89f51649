"""Brings commits to the disk for those on the event loop who wait for it: many share one flush.

One thread flushes again and again as long as somebody waits. It does not ask the event loop in between, which is busy
with the very calls that the next flush is for.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from clary.store.database import Database


class Flushes:
    """The flushes of one database; belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._waiting: list[_Waiting] = []
        self._wanted = 0
        self._running = False

    async def done(self) -> None:
        """Returns once everything that was written so far is on the disk.

        Raises:
            Unavailable: it may be lost.
        """
        wanted = self._database.written
        if self._database.synced >= wanted:
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(wanted, loop.create_future())
        self._waiting.append(waiting)
        self._wanted = wanted
        if not self._running:
            self._begin(loop)
        await waiting.done

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._running = True
        self._pool.submit(self._work, loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        reached, error = 0, None
        while reached < self._wanted and error is None:
            reached = self._database.written
            try:
                self._database.sync()
            except Exception as raised:  # noqa: BLE001  # those who wait must hear of it, whatever it is
                error = raised
            loop.call_soon_threadsafe(self._tell, reached, error)
        loop.call_soon_threadsafe(self._end, loop)

    def _tell(self, reached: int, error: Exception | None) -> None:
        told, self._waiting = self._waiting, []
        for each in told:
            if each.wanted > reached:
                self._waiting.append(each)
            elif each.done.done():
                pass  # the client has gone
            elif error is None:
                each.done.set_result(None)
            else:
                each.done.set_exception(error)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._running = False
        if self._waiting:  # they came after the thread had looked
            self._begin(loop)


class _Waiting(NamedTuple):
    wanted: int
    done: asyncio.Future[None]
