"""HTTP messages as the platform passes them around, independent of the server that carries them."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from clary.errors import RequestEntityTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


CHUNK_BYTES = 1 << 20
"""How much of a file is read at a time."""


class ClientGone(ConnectionError):
    """The client closed the connection before its request was complete."""


class Damaged(Exception):
    """What is stored is not what was stored once: bytes are missing, or others than they were."""


class Body(Protocol):
    """The bytes of a request, read once; wrappers decode or verify on the way."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks in order; raises a ServiceError when the content proves to be damaged or forged."""
        ...


class BytesBody:
    """A body that is already in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.content:
            yield self.content


class FileBody:
    """A body that lies in a file; read inline, since the page cache answers faster than a thread can be asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                yield chunk


async def read(body: Body, limit_bytes: int) -> bytes:
    """All bytes of `body`.

    Raises:
        RequestEntityTooLarge: there are more than `limit_bytes`.
    """
    if isinstance(body, BytesBody):
        return body.content
    chunks: list[bytes] = []
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > limit_bytes:
            raise RequestEntityTooLarge(f"Request body is larger than {limit_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


@dataclass(slots=True)
class Request:
    """One HTTP request.

    `path` and `query` are raw, as on the wire (percent-encoded, `query` without the question mark);
    `headers` has lower-case names, repeated headers joined by a comma. `body` may be replaced by a wrapper.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body
    scheme: str = "http"
    client: str = "127.0.0.1"


class Stored(ABC):
    """Bytes that lie somewhere, to be sent as a response body; reading them may raise Damaged."""

    __slots__ = ()

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces of about a megabyte, for callers who may wait for the disk."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]:
        """The same for the event loop."""


@dataclass(frozen=True, slots=True)
class FileSlice(Stored):
    """A part of a file to be sent as a response body."""

    path: Path
    offset: int
    length: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces of at most a megabyte.

        Raises:
            Damaged: the file is gone, or ends before the part does.
        """
        with _opened(self.path) as file:
            file.seek(self.offset)
            left = self.length
            while left:
                chunk = file.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise Damaged(f"{self.path} lacks {left} bytes")
                left -= len(chunk)
                yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Read inline: the page cache answers in microseconds, a hop to a thread costs more than that.
        for chunk in self.chunks():
            yield chunk


def _opened(path: Path) -> io.FileIO:
    try:
        return io.FileIO(path)
    except FileNotFoundError as error:
        raise Damaged(f"{path} is gone") from error


@dataclass(frozen=True, slots=True)
class FileSlices(Stored):
    """Stored bytes of several places, to be sent one after the other as one response body.

    `held` makes a context that keeps them in place while they are read.
    """

    slices: Sequence[Stored]
    held: Callable[[], AbstractContextManager[None]] = nullcontext

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces of about a megabyte, for callers who may wait for the disk."""
        with self.held():
            for piece in self.slices:
                yield from piece.chunks()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self.held():
            for piece in self.slices:
                async for chunk in piece:
                    yield chunk


async def begun(body: Stored) -> bytes | AsyncIterator[bytes]:
    """The same bytes, the first of them read already: what cannot be read at all is known before the answer begins."""
    if isinstance(body, FileSlice) and body.length <= CHUNK_BYTES:
        return b"".join(body.chunks())
    chunks = aiter(body)
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()


@dataclass(slots=True)
class Response:
    """One HTTP response; a streamed body needs its own Content-Length header when the length is known."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Stored | AsyncIterator[bytes] = b""
    cookies: tuple[str, ...] = ()
    """Values of Set-Cookie, the one header that may come several times."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers: the response members, with an HTTP status or headers that the model does not carry."""

    members: dict[str, Any]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
