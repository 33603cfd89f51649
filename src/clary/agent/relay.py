"""Carries connections from inside a workload's network to servers outside."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from clary.agent import linux
from clary.agent.workload import PROXY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.agent.workload import Forward

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(channel: socket.socket, forwards: Sequence[Forward]) -> NoReturn:
    """Serve the listeners that come over `channel` until the parent dies; ends the process in any case."""
    try:
        linux.die_with_parent(signal.SIGKILL)
        _, descriptors, _, _ = socket.recv_fds(channel, 64, len(forwards))
        channel.close()
        listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if listeners:
            asyncio.run(_serve(listeners, [forward.target for forward in forwards]))
    finally:
        os._exit(0)


def lead_in(path: str, port: int) -> None:
    """Begin a process that carries connections to a Unix socket on to a port of the network that it is in."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    begin([listener], [f"127.0.0.1:{port}"])


def begin(listeners: Sequence[socket.socket], targets: Sequence[str]) -> None:
    """Begin a process that carries connections to each of the listeners on to a target, until this one ends."""
    if os.fork():
        for listener in listeners:
            listener.close()
        return
    try:
        linux.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asyncio.run(_serve(listeners, targets))
    finally:
        os._exit(0)


async def _serve(listeners: Sequence[socket.socket], targets: Sequence[str]) -> None:
    servers = [
        await asyncio.start_server(lambda r, w, t=target: _carry(r, w, t), sock=listener)  # type: ignore[misc]
        for listener, target in zip(listeners, targets, strict=True)
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
    try:
        outside = await (_asked_for(reader, writer) if target == PROXY else _connected(target))
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.close()
        return
    await asyncio.gather(_pump(reader, outside[1]), _pump(outside[0], writer))
    writer.close()
    outside[1].close()


async def _connected(target: str) -> Streams:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


async def _asked_for(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams:
    """A connection to where a client of the proxy wants to go.

    Raises:
        OSError: that cannot be reached; the client is told.
        ValueError: it asks for something else than a tunnel.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if method != "CONNECT":
        writer.write(b"HTTP/1.1 405 Only tunnels\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        raise ValueError(method)
    try:
        outside = await _connected(target)
    except OSError:
        writer.write(b"HTTP/1.1 502 Not reached\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        raise
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    return outside


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
