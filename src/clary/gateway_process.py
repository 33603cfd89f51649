"""The program of one gateway; `gateways` starts it, and tells what it is for.

It holds nothing that the database and the folder of objects do not: it may end at any moment.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn

from clary.app import build, http_config
from clary.clock import SystemClock
from clary.connection import Connection
from clary.gateways import Channel
from clary.settings import Settings, load


async def serve(settings: Settings, server: uvicorn.Server, listener: socket.socket, control: socket.socket) -> None:
    """Serves until the control process ends, or says so by a signal."""
    pool = ThreadPoolExecutor(16, thread_name_prefix="handler")
    parts = build(settings, SystemClock())
    platform = parts.platform
    platform.invoke.attach(platform, asyncio.get_running_loop(), pool)
    channel = Channel(control, on_closed=lambda: setattr(server, "should_exit", True))
    accept = partial(Connection, parts.gateway.handle, channel, server.server_state)
    server.config.http = lambda **_: accept()  # type: ignore[assignment]  # makes protocols, as a class would
    platform.objects.open()
    parts.upkeep.start(first=False)
    try:
        await server.serve(sockets=[listener])
    finally:
        channel.close()
        pool.shutdown()
        parts.close()


def main() -> None:
    """Takes the settings from the environment, and two descriptors: the listening socket and the channel."""
    settings = load(os.environ)
    listener, control = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    config = http_config(settings)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve(settings, uvicorn.Server(config), listener, control))


if __name__ == "__main__":
    main()
