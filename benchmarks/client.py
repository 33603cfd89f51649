"""A small HTTP client that costs little beside the servers it measures: requests are bytes that were signed before."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httptools
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Address = tuple[str, int]


@dataclass(slots=True)
class Run:
    """What came of one window of requests; latencies in milliseconds."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    sample: bytes = b""
    """The body of a refusal, or else of the last answer."""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        return statistics.median(self.latencies)

    @property
    def p99(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]


def load(address: Address, requests: Sequence[bytes], connections: int = 1, seconds: float = 0.0) -> Run:
    """Sends the requests in turn over kept connections for a while, each connection one at a time and at least one.

    Raises:
        RuntimeError: a request was refused; a benchmark of refusals tells nothing.
    """
    run = uvloop.run(_load(address, requests, connections, seconds))
    if run.refused or not run.latencies:
        raise RuntimeError(f"{run.refused} of {len(run.latencies)} requests were refused: {run.sample[:500]!r}")
    return run


async def _load(address: Address, requests: Sequence[bytes], connections: int, seconds: float) -> Run:
    run = Run(seconds)
    turn = itertools.cycle(requests)
    started = time.perf_counter()
    deadline = started + seconds
    await asyncio.gather(*(_one_connection(address, turn, deadline, run) for _ in range(connections)))
    run.seconds = time.perf_counter() - started
    return run


async def _one_connection(address: Address, turn: Iterator[bytes], deadline: float, run: Run) -> None:
    connection: _Connection | None = None
    sent = time.perf_counter()
    while sent < deadline or connection is None:
        if connection is None or connection.closed:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, *address)
        sent = time.perf_counter()
        status = await connection.ask(next(turn))
        run.latencies.append((time.perf_counter() - sent) * 1e3)
        run.refused += not 200 <= status < 300
        if not run.refused or not 200 <= status < 300:
            run.sample = connection.body
        sent = time.perf_counter()
    connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.closed = False
        self.body = b""
        self._answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> int:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self.body = b""
        self._transport.write(request)
        return await answered

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.closed = True
            self._transport.close()
        if self._answered is not None:
            self._answered.set_result(self._parser.get_status_code())
