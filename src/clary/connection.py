"""HTTP/1.1 between a client's socket and the gateway: one connection, whose requests are answered one by one.

It stands where ASGI stands elsewhere: there are no dictionaries between the parser and the gateway, the chunks of a
body are not copied together, and a small answer is one write. Requests that are not for this gateway leave together
with their connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, Self, cast

import httptools

from clary.http import ClientGone, FileSlice, Request, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from uvicorn.server import ServerState

SILENCE_S = 75.0
"""How long a client may say nothing: between two requests, within a head, or within a body that is waited for."""
HEAD_BYTES = 128 << 10
"""Clients send a few kilobytes; session tokens and metadata have limits far below this."""
AHEAD_BYTES = 1 << 20
"""How much of a body is taken from the socket before anybody wants it."""
DROPPED_BYTES = 1 << 20
"""Most that is read of a body whose request was refused; beyond that closing the connection is cheaper."""
JOINED_BYTES = 1 << 17
"""The first piece of a body up to this size is copied behind the head: cheaper than a write of its own."""
FLUSH_AGAIN_S = 0.01
MOST_NAMES = 128
"""How many names of headers are remembered in lower case: no more, since strangers may send long ones."""

Handle = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


class Elsewhere(Protocol):
    """Where requests are served that are not for this gateway."""

    def wants(self, http: Request, *, upgrade: bool) -> bool:
        """Whether it is to serve this request, whose body is not there yet, and all that follow it."""

    def take(self, transport: asyncio.Transport, received: bytes) -> None:
        """Takes the connection over, together with what was read of it since the request began.

        Reading is paused; nothing that was written is still on its way.
        """


class Connection(asyncio.Protocol):
    """One client.

    Args:
        handle: answers a request.
        elsewhere: takes the other requests.
        state: uvicorn's, which knows its connections and tasks.
        received: what somebody else has read of it already.
    """

    def __init__(
        self,
        handle: Handle,
        elsewhere: Elsewhere,
        state: ServerState,
        received: bytes = b"",
    ) -> None:
        self._handle = handle
        self._elsewhere = elsewhere
        self._state = state
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # What follows `Connection: close` is no error; nobody reads it.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._pending: deque[tuple[Request, _Body]] = deque()
        """The request that is being answered, and those that the client did not want to wait with."""
        self._body: _Body | None = None
        self._head: list[bytes] = []
        self._target = b""
        self._headers: dict[str, str] = {}
        self._in_head = False
        self._ended = False
        self._inseparable = False
        self._leaving = False
        self._closing = False
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        self._told: list[tuple[bytes, bytes]] = []
        self._common = ""
        self.lost = False

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own classes
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(SILENCE_S, self._listen)
        if self._received:
            self.data_received(self._received)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client has gone, or was sent away."""
        self.lost = True
        self._forget()
        for _, body in self._pending:
            body.wake()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """The client sends something; the parser calls the methods below."""
        if not self._in_head:  # which must be whole in time, however slowly it drips
            self._heard = self._loop.time()
        self._ended = False
        self._head.append(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # a request whose upgrade nobody wants is answered as if it had not asked
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, b"Invalid HTTP request received.")
            return
        if self._leaving:
            self._leave()
        elif not self._in_head:
            self._head.clear()
        elif sum(map(len, self._head)) > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"The head of the request is too large.")

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def shutdown(self) -> None:
        """The server ends; what was asked is answered."""
        self._closing = True
        if not self._pending:
            self.transport.close()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers = {}
        self._in_head = True
        self._inseparable = self._ended

    def on_url(self, target: bytes) -> None:
        """A piece of the request's target."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        headers = self._headers
        key, text = _lower(name), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """The head is there; the body follows."""
        self._in_head = False
        if self._leaving:
            return
        parser = self._parser
        path, query = _parted(self._target)
        body = _Body(self, self._loop, awaited="expect" in self._headers, http10=parser.get_http_version() == "1.0")
        body.only = body.http10 or not parser.should_keep_alive()
        http = Request(parser.get_method().decode("latin-1"), path, query, self._headers, body, client=self._client)
        if self._elsewhere.wants(http, upgrade=parser.should_upgrade()):
            self._leaving = True
            return
        self._body = body
        self._pending.append((http, body))
        if len(self._pending) == 1:
            self._begin()
        else:
            self.pause_reading()

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        if self._body is not None and not self._leaving:
            self._body.add(chunk)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._ended = True
        if self._body is not None and not self._leaving:
            self._body.end()

    # What a request needs

    @property
    def common(self) -> str:
        """The header lines of every answer; uvicorn renews what they tell each second."""
        headers = self._state.default_headers
        if headers is not self._told:
            self._told = headers
            self._common = "".join([f"\r\n{name.decode()}: {value.decode()}" for name, value in headers])
        return self._common

    def pause_reading(self) -> None:
        """Leaves in the socket what the client sends."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Takes it again, unless there is enough to do."""
        if self._paused and not self._leaving and len(self._pending) <= 1 and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    async def drained(self) -> None:
        """Returns when the client has taken enough of what was written.

        Raises:
            ClientGone: it never will.
        """
        if self._drained is not None:
            await self._drained
        if self.lost:
            raise ClientGone

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._answer(*self._pending[0]))

    async def _answer(self, http: Request, body: _Body) -> None:
        answer = _Answer(self, http.method, body)
        try:
            response = await self._handle(http)
            if not await body.taken():
                body.only = True
            await answer.send(response)
        except ClientGone:
            body.only = True
        except Exception:  # the client must not wait for ever, whatever went wrong
            log.exception("%s %s could not be answered", http.method, http.path)
            body.only = True
            if not answer.begun:
                await answer.send(Response(500, {"content-type": "text/plain"}, b"Internal Server Error"))
        finally:
            self._end(body)

    def _end(self, body: _Body) -> None:
        self._pending.popleft()
        self._heard = self._loop.time()
        if self.lost:
            return
        if body.only or self._closing:
            self.transport.close()
        elif self._pending:
            self._begin()
        elif self._leaving:
            self._leave()
        else:
            self.resume_reading()

    def _leave(self) -> None:
        """Hands the connection over as soon as everything before is answered."""
        self.pause_reading()
        if self._pending or self.lost:
            return
        if self._inseparable:
            # It came in one piece with the request before it. Who sends so must be ready to send again what was not
            # answered (RFC 9112, section 9.3.2).
            self.transport.close()
        elif self.transport.get_write_buffer_size():
            self._loop.call_later(FLUSH_AGAIN_S, self._leave)
        else:
            self._forget()
            self._elsewhere.take(self.transport, b"".join(self._head))

    def _forget(self) -> None:
        self._timer.cancel()
        self._state.connections.discard(self)

    def _refuse(self, status: HTTPStatus, text: bytes) -> None:
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(text)), "connection": "close"}
        self.transport.write(_head(status, headers, (), self.common) + text)
        self.transport.close()

    def _listen(self) -> None:
        """Sends a client away that says nothing any more."""
        silence = self._loop.time() - self._heard
        answering = bool(self._pending) and not self._pending[0][1].is_awaited
        if silence >= SILENCE_S and not answering:
            self.transport.abort()
            return
        self._timer = self._loop.call_later(max(SILENCE_S - silence, 1.0), self._listen)


class _Body:
    """The body of a request as it arrives."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop, *, awaited: bool, http10: bool) -> None:
        self._connection = connection
        self._loop = loop
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._complete = False
        self._wanted: asyncio.Future[None] | None = None
        self._announced = awaited
        self.http10 = http10
        self.only = False
        """Whether the connection ends with this request."""

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > AHEAD_BYTES:
            self._connection.pause_reading()
        self.wake()

    def end(self) -> None:
        self._complete = True
        self.wake()

    def wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the client to send more."""
        return self._wanted is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._complete:
                raise StopAsyncIteration
            await self._more()
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        if self._size <= AHEAD_BYTES and not self._complete:
            self._connection.resume_reading()
        return chunk

    async def _more(self) -> None:
        if self._connection.lost:
            raise ClientGone
        if self._announced:
            self._announced = False
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.resume_reading()
        self._wanted = self._loop.create_future()
        try:
            await self._wanted
        finally:
            self._wanted = None

    async def taken(self) -> bool:
        """Whether the next request may follow on the same connection; reads what little nobody wanted to read."""
        # A client that waits for `100 Continue` and hears an error instead does not send its body at all.
        if self._complete or self._announced:
            return self._complete
        dropped = 0
        async for chunk in self:
            dropped += len(chunk)
            if dropped > DROPPED_BYTES:
                break
        return self._complete


class _Answer:
    """One response on its way to the client."""

    def __init__(self, connection: Connection, method: str, body: _Body) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._method = method
        self._body = body
        self.begun = False

    async def send(self, response: Response) -> None:
        """Returns when all of it was written; raises ClientGone."""
        body = response.body
        fields = {name.lower(): value for name, value in response.headers.items()}
        if self._body.only:
            fields["connection"] = "close"
        if isinstance(body, bytes):
            fields.setdefault("content-length", str(len(body)))
        elif isinstance(body, FileSlice):
            fields.setdefault("content-length", str(body.length))
        if self._method == "HEAD":
            body = b""
        elif "content-length" not in fields and not self._body.http10:
            fields["transfer-encoding"] = "chunked"
        head = _head(response.status, fields, response.cookies, self._connection.common)
        if isinstance(body, bytes):
            self._write(head, body)
        elif "transfer-encoding" in fields:
            await self._stream(head, _framed(body))
        else:
            await self._stream(head, _measured(body, fields.get("content-length")))

    async def _stream(self, head: bytes, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            self._write(head, chunk)
            head = b""
            await self._connection.drained()
        if head:
            self._write(head, b"")

    def _write(self, head: bytes, chunk: bytes) -> None:
        self.begun = True
        if len(chunk) <= JOINED_BYTES:
            self._transport.write(head + chunk)
        else:
            self._transport.writelines([head, chunk] if head else [chunk])


async def _framed(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Pieces that tell their size, where nobody knows that of the whole."""
    async for chunk in body:
        if chunk:
            yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


async def _measured(body: AsyncIterable[bytes], length: str | None) -> AsyncIterator[bytes]:
    """Pieces that must add up to what the head has promised."""
    size = 0
    async for chunk in body:
        size += len(chunk)
        if length is not None and size > int(length):
            break
        yield chunk
    if length is not None and size != int(length):
        raise RuntimeError(f"{size} bytes came of a body of {length}")


@lru_cache(MOST_NAMES)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _parted(target: bytes) -> tuple[str, str]:
    """Path and query of a request's target, which proxies send with the address before it."""
    if not target.startswith(b"/"):
        parsed = httptools.parse_url(target)
        return (parsed.path or b"/").decode("latin-1"), (parsed.query or b"").decode("latin-1")
    path, _, query = target.partition(b"#")[0].decode("latin-1").partition("?")
    return path, query


def _head(status: int, fields: Mapping[str, str], cookies: Sequence[str], common: str) -> bytes:
    """The status line and the headers, `common` being lines that are known to be good.

    Raises:
        ValueError: a header holds the end of a line, and with it perhaps another header.
    """
    lines = [f"\r\n{name}: {value}" for name, value in fields.items()]
    lines += [f"\r\nset-cookie: {cookie}" for cookie in cookies]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise ValueError("a header of the answer holds the end of a line")
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}{common}{text}\r\n\r\n".encode("latin-1")


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
