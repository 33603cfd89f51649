"""The program of one gateway; `gateways` tells what it is for, and starts those of this machine.

It holds nothing that the database and the place of the objects do not: it may end at any moment.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn

from clary.app import build, http_config
from clary.clock import SystemClock
from clary.connection import Connection
from clary.gateways import Channel, Relay
from clary.settings import Settings, load

Control = Callable[[uvicorn.Server], Channel | Relay]
"""Makes the way to the control process, for a gateway that this server carries."""


def run(settings: Settings, listener: socket.socket, control: Control) -> None:
    """Serves until a signal comes, or the control process of this machine ends; blocks."""
    server = uvicorn.Server(http_config(settings))
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(settings, server, listener, control))


async def _serve(settings: Settings, server: uvicorn.Server, listener: socket.socket, control: Control) -> None:
    pool = ThreadPoolExecutor(16, thread_name_prefix="handler")
    parts = build(settings, SystemClock())
    platform = parts.platform
    platform.invoke.attach(platform, asyncio.get_running_loop(), pool)
    elsewhere = control(server)
    accept = partial(Connection, parts.gateway.handle, elsewhere, server.server_state)
    server.config.http = lambda **_: accept()  # type: ignore[assignment]  # makes protocols, as a class would
    platform.objects.open()
    parts.upkeep.start(first=False)
    try:
        await server.serve(sockets=[listener])
    finally:
        elsewhere.close()
        pool.shutdown()
        platform.objects.close()
        parts.upkeep.stop()
        parts.database.close()


def main() -> None:
    """Takes the settings from the environment, and two descriptors: the listening socket and the channel."""
    listener, control = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    run(load(os.environ), listener, lambda server: Channel(control, lambda: setattr(server, "should_exit", True)))


if __name__ == "__main__":
    main()
