"""A small HTTP server for one model: keep-alive connections, one request at a time.

Models hold the interpreter while they predict, so threads would only add switches between them: the model runs on the
event loop, and more processes are the way to use more cores.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httptools

from clary.toolkit.serve.message import Application, Request, Response
from clary.toolkit.serve.workers import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PORT = 8080
REASONS: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}


def listen(environ: Mapping[str, str]) -> socket.socket:
    """The listening socket: a Unix socket in production, else a port on the loopback."""
    path = environ.get("CLARY_SERVE_SOCKET")
    if path:
        Path(path).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(environ.get("SAGEMAKER_BIND_TO_PORT") or DEFAULT_PORT)))
    listener.listen(512)
    return listener


def serve(load: Callable[[], Application], listener: socket.socket, workers: int = 1) -> None:
    """Serve until SIGTERM; `load` runs in each worker, because libraries with threads do not survive a fork."""
    if workers > 1:
        keep_running(lambda: _serve(load(), listener), workers)
    else:
        _serve(load(), listener)


def _serve(application: Application, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=_new_loop()) as runner:
        runner.run(_run(application, listener))


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # optional: halves the overhead of a request where it is installed
    except ImportError:
        return None
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new_event_loop


async def _run(application: Application, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    connections: set[_Connection] = set()
    kind = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
    server = await kind(lambda: _Connection(application, connections), sock=listener)
    await stopped.wait()
    server.close()
    for connection in list(connections):
        connection.close_when_idle()
    while connections:
        await asyncio.sleep(0.01)


class _Connection(asyncio.Protocol):
    """Parses the requests of one connection and writes the replies in order."""

    def __init__(self, application: Application, connections: set[_Connection]) -> None:
        self._application = application
        self._connections = connections
        self._closing = False
        self._reset()

    def _reset(self) -> None:
        self._path = ""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._connections.add(self)

    def connection_lost(self, _reason: Exception | None) -> None:
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._busy = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(_encode(Response(400, b"The request is no valid HTTP."), keep=False))
            self._transport.close()

    def close_when_idle(self) -> None:
        """Close now, or after the reply when a request is being received."""
        self._closing = True
        if not self._busy:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, self._path.partition("?")[0], self._headers, b"".join(self._body))
        keep = self._parser.should_keep_alive() and not self._closing
        self._transport.write(_encode(self._application(request), keep=keep))
        self._reset()
        if not keep:
            self._transport.close()


def _encode(response: Response, *, keep: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}",
        f"content-type: {response.content_type}",
        f"content-length: {len(response.body)}",
    ]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if not keep:
        lines.append("connection: close")
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1", "replace") + response.body
