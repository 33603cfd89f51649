"""Take the bytes of an object in: small ones into memory, others into a content file, digests made on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from clary.store.objects.checksums import Digests
from clary.store.objects.errors import telling_full_disk
from clary.store.objects.sealing import SealedIncoming, seal_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

    from clary.store.objects.files import Files, Incoming
    from clary.store.objects.sealing import ContentKey

ROW_BYTES = 32 << 10
"""Objects up to this size lie in their row: a file costs more than that to make, flush and open."""

BLOCK_BYTES = 1 << 19
"""What a thread takes at a time; digests and writes of so much let go of the interpreter lock."""
MOST_WAITING = 3
"""Blocks that may wait for it."""


class Received(NamedTuple):
    """Bytes that were taken in: kept in memory, or in a file."""

    digests: Digests
    size: int
    data: bytes | None
    file: str


async def receive(
    body: AsyncIterable[bytes], algorithms: Iterable[str], files: Files, key: ContentKey | None, *, in_file: bool
) -> Received:
    """Takes `body` in, encrypted when there is a `key`; `in_file` keeps even a small one in a file.

    Memory is bounded by a few blocks, whatever the size. Nothing is left behind when the body fails.
    """
    digests = Digests(algorithms)
    stream = aiter(body)
    head = b"" if in_file else await _head(stream)
    if not in_file and len(head) <= ROW_BYTES:
        digests.update(head)
        return Received(digests, len(head), seal_bytes(key.key, head) if key else head, "")
    with telling_full_disk():
        size, name = await _store(_blocks(head, stream), digests, files, key)
    return Received(digests, size, None, name)


async def _store(
    blocks: AsyncIterator[bytes], digests: Digests, files: Files, key: ContentKey | None
) -> tuple[int, str]:
    plain = await asyncio.to_thread(files.create)
    file = SealedIncoming(plain, key.key) if key else plain
    try:
        size = await _spool(blocks, file, digests)
        return size, await asyncio.to_thread(file.finish)
    except BaseException:
        await asyncio.to_thread(file.abandon)
        raise


async def _head(stream: AsyncIterator[bytes]) -> bytes:
    """The whole stream, or somewhat more than fits into a row."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream:
        chunks.append(chunk)
        size += len(chunk)
        if size > ROW_BYTES:
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _blocks(head: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    chunks = [head]
    size = len(head)
    async for chunk in stream:
        chunks.append(chunk)
        size += len(chunk)
        if size >= BLOCK_BYTES:
            yield b"".join(chunks)
            chunks.clear()
            size = 0
    yield b"".join(chunks)


async def _spool(blocks: AsyncIterator[bytes], file: Incoming, digests: Digests) -> int:
    """Writes and digests some blocks while the next ones arrive."""

    def keep(block: bytes) -> None:
        file.write(block)
        digests.update_checksums(block)

    size = 0
    # The MD5 takes longer than all the rest does.
    workers = _Worker(digests.update_md5), _Worker(keep)
    try:
        async for block in blocks:
            size += len(block)
            for worker in workers:
                await worker.take(block)
        for worker in workers:
            await worker.finish()
    finally:
        # The threads must be done with the file before anybody closes it, even when the client has gone.
        for worker in workers:
            await worker.stop()
    return size


class _Worker:
    """Takes blocks in their order, in a thread that works on as long as there are some: each start of it is a wait."""

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._waiting: deque[bytes] = deque()
        self._working: asyncio.Task[None] | None = None

    async def take(self, block: bytes) -> None:
        """Returns at once unless there are enough blocks; raises what went wrong with earlier ones."""
        self._waiting.append(block)
        if self._working is not None and (self._working.done() or len(self._waiting) >= MOST_WAITING):
            await self._working
            self._working = None
        if self._working is None and self._waiting:
            self._working = asyncio.create_task(asyncio.to_thread(self._run))

    async def finish(self) -> None:
        """Returns when all blocks are taken."""
        while self._working is not None:
            await self._working
            self._working = asyncio.create_task(asyncio.to_thread(self._run)) if self._waiting else None

    async def stop(self) -> None:
        """Gives up what waits; what goes wrong with the rest is of no interest any more."""
        self._waiting.clear()
        if self._working is not None:
            with suppress(Exception):
                await asyncio.shield(self._working)

    def _run(self) -> None:
        while block := self._next():
            self._work(block)

    def _next(self) -> bytes:
        with suppress(IndexError):
            return self._waiting.popleft()
        return b""
