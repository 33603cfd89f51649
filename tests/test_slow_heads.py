"""Clients that send the head of a request drop by drop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.server import ServerState

from clary.connection import SILENCE_S, Connection

if TYPE_CHECKING:
    from collections.abc import Callable


class HandLoop:
    """A clock that the test moves, and what was to be done later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.later: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        self.later.append((self.now + seconds, action))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due = [action for moment, action in self.later if moment <= self.now]
        self.later = [entry for entry in self.later if entry[0] > self.now]
        for action in due:
            action()


class Wire:
    aborted = False

    def get_extra_info(self, _: str) -> tuple[str, int]:
        return "127.0.0.1", 1

    def abort(self) -> None:
        self.aborted = True


async def drip(pieces: list[bytes], pause_s: float) -> bool:
    """Whether the connection is cut off while pieces come with pauses between."""
    connection = Connection(cast("Any", None), cast("Any", None), ServerState())
    loop, wire = HandLoop(), Wire()
    connection._loop = cast("Any", loop)
    connection.connection_made(cast("Any", wire))
    for piece in pieces:
        connection.data_received(piece)
        loop.pass_by(pause_s)
        if wire.aborted:
            return True
    return False


def test_a_head_that_drips_is_cut_off() -> None:
    drops = [b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 20]
    assert asyncio.run(drip(drops, SILENCE_S / 10))
    assert not asyncio.run(drip(drops[:5], SILENCE_S / 10))
