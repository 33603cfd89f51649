"""Bodies in AWS's own chunks (`Content-Encoding: aws-chunked`), decoded while they are read."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from clary.protocol.errors import IncompleteBody, InvalidChunkSizeError

if TYPE_CHECKING:
    from clary.http import Body

LINE_LIMIT_BYTES = 16 << 10
"""Longest chunk header or trailer line; a signature makes them some 100 bytes long."""

TRAILER_LIMIT = 32
_EMPTY_SHA256 = hashlib.sha256().hexdigest()

Verify = Callable[[str, str], None]
"""Takes the SHA-256 of what was signed, in hexadecimal, and its signature; raises when they do not belong together."""


class AwsChunkedBody:
    """The content of an aws-chunked body; constant memory, chunks pass through as they arrive.

    Signed chunks are hashed on the way and given to `verify_chunk` at their end, also the empty last one; signed
    trailers to `verify_trailer`, hashed in their canonical form. With a `decoded_bytes` the content must be that long.
    `trailers` has lower-case names and is complete once the content was read to its end.
    """

    def __init__(
        self,
        body: Body,
        verify_chunk: Verify | None = None,
        verify_trailer: Verify | None = None,
        decoded_bytes: int | None = None,
    ) -> None:
        self._source = _Source(body)
        self._verify_chunk = verify_chunk
        self._verify_trailer = verify_trailer
        self._decoded_bytes = decoded_bytes
        self.trailers: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read_bytes = 0
        while True:
            size, signature = _chunk_head(await self._source.line())
            if size == 0:
                break
            read_bytes += size
            async for piece in self._chunk(size, signature):
                yield piece
            await self._source.expect_line_end()
        if self._verify_chunk is not None:
            self._verify_chunk(_EMPTY_SHA256, signature)
        await self._read_trailers()
        if self._decoded_bytes is not None and read_bytes != self._decoded_bytes:
            raise IncompleteBody(_INCOMPLETE)

    async def _chunk(self, size: int, signature: str) -> AsyncIterator[bytes]:
        digest = hashlib.sha256() if self._verify_chunk is not None else None
        while size:
            piece = await self._source.take(size)
            size -= len(piece)
            if digest is not None:
                digest.update(piece)
            yield piece
        if self._verify_chunk is not None and digest is not None:
            self._verify_chunk(digest.hexdigest(), signature)

    async def _read_trailers(self) -> None:
        signature = ""
        while line := await self._source.last_line():
            name, separator, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            if not separator or len(self.trailers) >= TRAILER_LIMIT:
                raise IncompleteBody(_INCOMPLETE)
            if name == "x-amz-trailer-signature":
                signature = value
            else:
                self.trailers[name] = value
        if self._verify_trailer is not None and (self.trailers or signature):
            signed = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            self._verify_trailer(hashlib.sha256(signed.encode("latin-1")).hexdigest(), signature)


class _Source:
    """Reads lines and runs of bytes from the pieces of another body, whatever their sizes."""

    def __init__(self, body: Body) -> None:
        self._pieces = aiter(body)
        self._piece = b""
        self._at = 0

    async def line(self) -> bytes:
        """The bytes up to the next line end, without it."""
        line, is_whole = await self._line()
        if not is_whole:
            raise IncompleteBody(_INCOMPLETE)
        return line

    async def last_line(self) -> bytes:
        """The same, or the rest of the body: some clients leave out the line end after the trailers."""
        return (await self._line())[0]

    async def expect_line_end(self) -> None:
        """Skips a line end."""
        if await self.line():
            raise InvalidChunkSizeError(_BAD_SIZE)

    async def take(self, most: int) -> bytes:
        """Some of the next bytes, at least one; a piece that lies within the limit is not copied."""
        while self._at >= len(self._piece):
            if not await self._next():
                raise IncompleteBody(_INCOMPLETE)
        if self._at == 0 and len(self._piece) <= most:
            taken, self._piece = self._piece, b""
            return taken
        taken = self._piece[self._at : self._at + most]
        self._at += len(taken)
        return taken

    async def _line(self) -> tuple[bytes, bool]:
        found = b""
        while True:
            end = self._piece.find(b"\n", self._at)
            if end >= 0:
                found += self._piece[self._at : end]
                self._at = end + 1
                return found.removesuffix(b"\r"), True
            found += self._piece[self._at :]
            if len(found) > LINE_LIMIT_BYTES:
                raise InvalidChunkSizeError(_BAD_SIZE)
            if not await self._next():
                return found, False

    async def _next(self) -> bool:
        self._piece, self._at = b"", 0
        while not self._piece:
            piece = await anext(self._pieces, None)
            if piece is None:
                return False
            self._piece = piece
        return True


_INCOMPLETE = "The request body terminated unexpectedly"
_BAD_SIZE = "Only the last chunk is allowed to have a size less than 8192 bytes"


def _chunk_head(line: bytes) -> tuple[int, str]:
    digits, _, extension = line.decode("latin-1").partition(";")
    digits = digits.strip()
    if not digits or len(digits) > 16 or not set(digits) <= _HEXADECIMAL:
        raise InvalidChunkSizeError(_BAD_SIZE)
    name, _, signature = extension.partition("=")
    return int(digits, 16), signature.strip() if name.strip() == "chunk-signature" else ""


_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
