"""Writing gzip with all processors at once."""

from __future__ import annotations

import os
import threading
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

BLOCK_BYTES = 1 << 20

_GZIP = 16 + zlib.MAX_WBITS
_BEHIND = 4
"""Blocks a thread that may wait for their turn, so that memory stays small however fast data come."""


class ParallelGzip:
    """A file of gzip members of a megabyte each, which every reader takes for one stream (RFC 1952, section 2.2).

    zlib releases the interpreter's lock, so threads are enough.
    """

    def __init__(self, target: IO[bytes], level: int, threads: int = 0) -> None:
        count = threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._target = target
        self._level = level
        self._threads = _has_threads()
        self._pool = ThreadPoolExecutor(count)
        self._most = _BEHIND * count
        self._block = bytearray()
        self._packed: deque[Future[bytes]] = deque()

    def __enter__(self) -> ParallelGzip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> int:
        """Take in `data`; it is in the target when the context ends."""
        self._block += data
        while len(self._block) >= BLOCK_BYTES:
            self._submit(bytes(self._block[:BLOCK_BYTES]))
            del self._block[:BLOCK_BYTES]
        return len(data)

    def _submit(self, block: bytes) -> None:
        if not self._threads:
            self._target.write(_member(block, self._level))
            return
        self._packed.append(self._pool.submit(_member, block, self._level))
        while len(self._packed) > self._most or (self._packed and self._packed[0].done()):
            self._target.write(self._packed.popleft().result())

    def _finish(self) -> None:
        self._submit(bytes(self._block))
        while self._packed:
            self._target.write(self._packed.popleft().result())


def _has_threads() -> bool:
    """Whether this process may have threads: the kernel refuses them to who has just made a process namespace."""
    try:
        probe = threading.Thread(target=lambda: None)
        probe.start()
    except RuntimeError:
        return False
    probe.join()
    return True


def _member(block: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return packer.compress(block) + packer.flush()
