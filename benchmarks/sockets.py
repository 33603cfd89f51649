"""Many small requests over plain sockets and one selector: half of what an event loop would cost the client."""

from __future__ import annotations

import itertools
import re
import selectors
import socket
import time
from typing import TYPE_CHECKING

from benchmarks.client import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.client import Address

TIMEOUT_S = 30.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"connection: *close", re.IGNORECASE)


def load(address: Address, requests: Sequence[bytes], connections: int, seconds: float, least: int = 1) -> Run:
    """Sends the requests in turn for a while, each connection one at a time, and at least so many of them.

    Raises:
        RuntimeError: more than one in a hundred was refused; a benchmark of refusals tells nothing.
    """
    run = _Window(address, itertools.cycle(requests), connections).run(seconds, least)
    if not run.latencies or run.refused * 100 > len(run.latencies):
        raise RuntimeError(f"{run.refused} of {len(run.latencies)} requests were refused: {run.sample[:500]!r}")
    return run


class _Window:
    def __init__(self, address: Address, turn: Iterator[bytes], connections: int) -> None:
        self._address = address
        self._turn = turn
        self._connections = connections
        self._selector = selectors.EpollSelector()
        self._buffer = bytearray(1 << 18)

    def run(self, seconds: float, least: int) -> Run:
        run = Run(seconds)
        started = time.perf_counter()
        deadline = started + seconds
        open_ = 0
        for _ in range(self._connections):
            self._ask(_Exchange(self._address))
            open_ += 1
        while open_:
            events = self._selector.select(TIMEOUT_S)
            if not events:
                raise RuntimeError(f"{open_} requests were not answered in {TIMEOUT_S} s")
            for key, _ in events:
                exchange: _Exchange = key.data
                if not exchange.advance(self._buffer):
                    continue
                now = time.perf_counter()
                self._note(run, exchange, now)
                if now < deadline or len(run.latencies) + open_ <= least:
                    self._ask_again(exchange)
                else:
                    self._selector.unregister(exchange.socket)
                    exchange.socket.close()
                    open_ -= 1
        run.seconds = time.perf_counter() - started
        self._selector.close()
        return run

    def _ask(self, exchange: _Exchange) -> None:
        exchange.send(next(self._turn))
        self._selector.register(exchange.socket, selectors.EVENT_READ, exchange)

    def _ask_again(self, exchange: _Exchange) -> None:
        if not exchange.closing:
            exchange.send(next(self._turn))
            return
        self._selector.unregister(exchange.socket)
        exchange.socket.close()
        self._ask(_Exchange(self._address))

    def _note(self, run: Run, exchange: _Exchange, now: float) -> None:
        run.latencies.append((now - exchange.sent) * 1e3)
        if not exchange.accepted:
            run.refused += 1
            run.sample = exchange.head


class _Exchange:
    """A kept connection and the answer that comes over it."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.closing = False
        self.accepted = True

    def send(self, request: bytes) -> None:
        self.head = b""
        self._left = -1
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def advance(self, buffer: bytearray) -> bool:
        """Takes what has come; tells whether the answer is complete."""
        count = self.socket.recv_into(buffer)
        if not count:
            raise RuntimeError(f"the connection was closed: {self.head[:500]!r}")
        if self._left >= 0:
            self._left -= count
            return self._left <= 0
        self.head += buffer[:count]
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = _LENGTH.search(self.head, 0, end)
        self.accepted = self.head.startswith((b"HTTP/1.1 20", b"HTTP/1.0 20"))
        self.closing = _CLOSE.search(self.head, 0, end + 2) is not None
        if length is None and b"chunked" in self.head[:end].lower():
            return self.head.endswith(b"0\r\n\r\n")
        self._left = (int(length[1]) if length else 0) - (len(self.head) - end - 4)
        return self._left <= 0
