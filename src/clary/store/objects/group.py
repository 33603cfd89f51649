"""Writes that come together share one transaction: most of what a small write costs the database is its commit.

A group is complete when a round of the event loop brings no further write: nobody waits for one that may never come.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clary.store.objects.index import Index

    Waiting = tuple[Callable[[], Any], asyncio.Future[Any]]

Answer = TypeVar("Answer")

MOST = 32
"""Writes of one transaction: it holds up the event loop, and other processes that want to write."""


class Group:
    """Runs writes of the event loop's tasks."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._waiting: list[Waiting] = []

    async def write(self, change: Callable[[], Answer]) -> Answer:
        """What `change` answers, or raises, in a transaction; it is committed then.

        It may be run twice, the first time in vain, and is not run for a caller who has given up.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((change, done))
        if len(self._waiting) == 1:
            loop.call_soon(self._gather, loop, 0)
        return cast("Answer", await done)

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        if before < len(self._waiting) < MOST:
            loop.call_soon(self._gather, loop, len(self._waiting))
            return
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MOST):
            self._commit([each for each in waiting[start : start + MOST] if not each[1].done()])

    def _commit(self, waiting: Sequence[Waiting]) -> None:
        try:
            with self._index.transaction():
                answers = [change() for change, _ in waiting]
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's to handle
            if len(waiting) == 1:
                waiting[0][1].set_exception(error)
                return
            # One of them is refused, which must not undo the others.
            for each in waiting:
                self._commit([each])
        else:
            for (_, done), answer in zip(waiting, answers, strict=True):
                done.set_result(answer)
