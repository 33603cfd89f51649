"""Browser traffic to web servers that listen on Unix sockets: HTTP streamed both ways, and web sockets."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h11
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from clary.http import ClientGone, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection

    from clary.asgi import Receive, Scope, Send
    from clary.http import Request

READ_BYTES = 1 << 16
MOST_HEAD_BYTES = 1 << 18
CONNECT_TIMEOUT_S = 10.0
HOST = "localhost"

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
"""Headers that concern one connection only (RFC 9110, section 7.6.1)."""

REPLACED = frozenset(["host", "origin", "referer", "expect"])
"""Headers that name the public address, or that the proxy answers itself."""

ADDED = frozenset(["date", "server"])
"""Headers of a response that our own server adds."""

GONE_AWAY = 1001
NO_STATUS = 1005
"""Never sent: it says that a close frame had no code."""


class UpstreamGone(ConnectionError):
    """The server cannot be reached or ended before its answer."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A web server, and headers that every request to it bears."""

    socket: Path
    headers: Mapping[str, str] = field(default_factory=dict)


async def forward(http: Request, upstream: Upstream) -> Response:
    """The server's response to a request; its body arrives while it is read.

    Raises:
        UpstreamGone: there is no response.
    """
    exchange = await _Exchange.open(upstream)
    try:
        head = await exchange.ask(http, upstream)
    except BaseException:
        exchange.close()
        raise
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name_bytes, value_bytes in head.headers:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in HOP_BY_HOP | ADDED:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if http.method == "HEAD":
        exchange.close()
    return Response(head.status_code, headers, exchange.body(), cookies=tuple(cookies))


class _Exchange:
    """One request and its response, on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)

    @classmethod
    async def open(cls, upstream: Upstream) -> _Exchange:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return cls(*await asyncio.open_unix_connection(str(upstream.socket)))
        except (OSError, TimeoutError) as error:
            raise UpstreamGone(str(error)) from error

    async def ask(self, http: Request, upstream: Upstream) -> h11.Response:
        """Sends the request and waits for the head of the answer, which may come before all was sent."""
        sending = asyncio.create_task(self._send(http, upstream))
        answering = asyncio.create_task(self._head())
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                await sending
            return await answering
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _send(self, http: Request, upstream: Upstream) -> None:
        target = f"{http.path}?{http.query}" if http.query else http.path
        headers = [(name, value) for name, value in request_headers(http.headers, upstream).items()]
        if "transfer-encoding" in http.headers:
            headers.append(("transfer-encoding", "chunked"))
        # A server may refuse a request before it has read it all, and close; then its answer is what matters.
        with contextlib.suppress(ConnectionError):
            await self._write(h11.Request(method=http.method, target=target, headers=headers))
            async for chunk in http.body:
                await self._write(h11.Data(data=chunk))
            await self._write(h11.EndOfMessage())

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives; a body that breaks off breaks the answer off too."""
        try:
            while isinstance(event := await self._next(), h11.Data):
                yield bytes(event.data)
        except UpstreamGone as error:
            raise ClientGone from error
        finally:
            self.close()

    def close(self) -> None:
        self._writer.close()

    async def _head(self) -> h11.Response:
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event

    async def _write(self, event: h11.Event) -> None:
        data = self._state.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def _next(self) -> Any:
        while True:
            try:
                event = self._state.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._reader.read(READ_BYTES)
                if not data and self._state.their_state is h11.SEND_RESPONSE:
                    raise UpstreamGone("the server closed the connection without an answer")
                self._state.receive_data(data)
            except (OSError, h11.RemoteProtocolError) as error:
                raise UpstreamGone(str(error)) from error


def request_headers(given: Mapping[str, str], upstream: Upstream) -> dict[str, str]:
    """The headers for the server: those that concern it, with the upstream's own."""
    dropped = HOP_BY_HOP | REPLACED | {name.strip().lower() for name in given.get("connection", "").split(",")}
    kept = {name: value for name, value in given.items() if name not in dropped and not name.startswith("sec-fetch-")}
    return {"host": HOST, **kept, **upstream.headers, "connection": "close"}


async def bridge(scope: Scope, receive: Receive, send: Send, upstream: Upstream) -> None:
    """Joins a web socket that asks to be let in with one to the server, until either end closes it."""
    headers = {
        name: value
        for name, value in request_headers(headers_of(scope), upstream).items()
        if name not in {"host", "connection"} and not name.startswith("sec-websocket-")
    }
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1")
    try:
        async with unix_connect(
            str(upstream.socket),
            f"ws://{HOST}{path}{'?' if query else ''}{query}",
            additional_headers=headers,
            subprotocols=scope["subprotocols"] or None,
            user_agent_header=None,
            compression=None,
            max_size=None,
            open_timeout=CONNECT_TIMEOUT_S,
            ping_interval=None,
        ) as server:
            await send({"type": "websocket.accept", "subprotocol": server.subprotocol})
            await _join(server, receive, send)
    except (OSError, TimeoutError, WebSocketException):
        # Before it was accepted this refuses the web socket with 403; afterwards it ends it.
        await send({"type": "websocket.close", "code": GONE_AWAY})


async def _join(server: ClientConnection, receive: Receive, send: Send) -> None:
    """Copies both ways; whichever end closes first ends the other."""
    up = asyncio.create_task(_up(server, receive))
    down = asyncio.create_task(_down(server, send))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _up(server: ClientConnection, receive: Receive) -> None:
    with contextlib.suppress(ConnectionClosed):
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            await server.send(text if text is not None else message["bytes"])
        await server.close()


async def _down(server: ClientConnection, send: Send) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in server:
            await send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})
    code = server.close_code
    await send({"type": "websocket.close", "code": GONE_AWAY if code in {None, NO_STATUS} else code})


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers with which a web socket was asked for, by their names in lower case."""
    # uvicorn leaves the names of a request that it reads a second time as they came.
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
