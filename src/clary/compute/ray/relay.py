"""Carries connections to the sockets of model servers on to the nodes where they run."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from clary.agent.workload import SERVE_SOCKET

if TYPE_CHECKING:
    from pathlib import Path

    from clary.compute.ray.follower import Follower

_BLOCK = 1 << 16
_CONNECT_S = 3.0


class Relay:
    """One thread with an event loop, which listens in the bundles of workloads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._doors: dict[Path, _Door] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="clary-ray-relay", daemon=True)
        self._thread.start()

    def open(self, folder: Path, follower: Follower) -> None:
        """Listen in the bundle `folder` where a model server would."""
        asyncio.run_coroutine_threadsafe(self._open(folder, follower), self._loop)

    def close(self, folder: Path) -> None:
        """Listen there no longer, and hang up on those who wait for an answer."""
        self._loop.call_soon_threadsafe(self._close, folder)

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _open(self, folder: Path, follower: Follower) -> None:
        self._close(folder)
        self._doors[folder] = door = _Door(follower)
        with suppress(OSError):
            await door.open(folder / "run" / SERVE_SOCKET)

    def _close(self, folder: Path) -> None:
        door = self._doors.pop(folder, None)
        if door is not None:
            door.close()


class _Door:
    """The socket of one model server."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._carry, path)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            node_reader, node_writer = await self._connect()
        except OSError:
            self._hang_up(writer)
            return
        self._writers.add(node_writer)
        await asyncio.gather(_pump(reader, node_writer), _pump(node_reader, writer))
        self._hang_up(writer)
        self._hang_up(node_writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._follower.address is None:
            raise ConnectionError("the model server has no node yet")
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(*self._follower.address)
        writer.write(json.dumps(self._follower.ask("serve")).encode() + b"\n")
        return reader, writer

    def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_BLOCK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
