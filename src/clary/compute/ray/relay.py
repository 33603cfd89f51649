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


class Relay:
    """One thread with an event loop, which listens in the bundles of workloads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: dict[Path, asyncio.Server] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="clary-ray-relay", daemon=True)
        self._thread.start()

    def open(self, folder: Path, follower: Follower) -> None:
        """Listen in the bundle `folder` where a model server would."""
        asyncio.run_coroutine_threadsafe(self._open(folder, follower), self._loop)

    def close(self, folder: Path) -> None:
        """Listen there no longer."""
        self._loop.call_soon_threadsafe(self._close, folder)

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _open(self, folder: Path, follower: Follower) -> None:
        path = folder / "run" / SERVE_SOCKET
        path.unlink(missing_ok=True)
        with suppress(OSError):
            self._servers[folder] = await asyncio.start_unix_server(lambda r, w: _carry(r, w, follower), path)

    def _close(self, folder: Path) -> None:
        server = self._servers.pop(folder, None)
        if server is not None:
            server.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, follower: Follower) -> None:
    with suppress(OSError):
        if follower.address is not None:
            node_reader, node_writer = await asyncio.open_connection(*follower.address)
            node_writer.write(json.dumps(follower.ask("serve")).encode() + b"\n")
            await asyncio.gather(_pump(reader, node_writer), _pump(node_reader, writer))
            node_writer.close()
    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_BLOCK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
