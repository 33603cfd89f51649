"""Take the bytes of an object in: small ones into memory, others into a content file, digests made on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from clary.store.objects.checksums import Digests
from clary.store.objects.errors import telling_full_disk
from clary.store.objects.sealing import SealedIncoming, seal_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable

    from clary.store.objects.files import Files, Incoming
    from clary.store.objects.sealing import ContentKey

ROW_BYTES = 32 << 10
"""Objects up to this size lie in their row: a file costs more than that to make, flush and open."""

BLOCK_BYTES = 1 << 20
"""What is handed to a thread at a time; digests and writes of so much let go of the interpreter lock."""


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
    """Writes and digests one block while the next one arrives."""
    size = 0
    pending: asyncio.Task[None] | None = None
    try:
        async for block in blocks:
            size += len(block)
            if pending is not None:
                await pending
            pending = asyncio.create_task(asyncio.to_thread(_take, block, file, digests))
    finally:
        # The thread must be done with the file before anybody closes it, even when the client has gone.
        if pending is not None:
            await asyncio.shield(pending)
    return size


def _take(block: bytes, file: Incoming, digests: Digests) -> None:
    file.write(block)
    digests.update(block)
