"""Processes that serve S3, IAM and STS beside the control process, from the same database and objects.

Those of the same machine:

All of them accept at one listening socket, which the control process made and they inherit: whoever is free takes the
next client, and clients that wait are not lost when a process ends. A request for anything else makes its connection
move to the control process, the socket itself: so nobody stands between a client and what answers it, whatever is
spoken there, and the address of a client cannot be forged. The channel over which sockets move is a pair of sockets
that only these two processes hold. When one side sees it closed, the other one has ended.

Those of other machines pass such connections on byte by byte; the control process then takes them for the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from clary.connection import HEAD_BYTES
from clary.notebook_access import PREFIX as NOTEBOOKS
from clary.protocol.route import signing_name
from clary.registry_access import PREFIX as IMAGES
from clary.settings import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from clary.http import Request
    from clary.settings import Settings

SERVED = frozenset({"s3", "iam", "sts", None})
"""Signing names of what gateways serve; anonymous requests are S3's, or forms that prove their caller by themselves."""
PAGES = "/_clary/"
HEALTH = "/_clary/health"
MESSAGE_BYTES = HEAD_BYTES + (1 << 18)
"""A head, and what came of the body in the same piece."""
CHANNEL_BYTES = 4 << 20
COPY_BYTES = 1 << 16
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
STEADY_S = 10.0
"""A gateway that ran so long did not end because it cannot run."""
STOP_S = 15.0

log = logging.getLogger(__name__)


def serves(http: Request) -> bool:
    """Whether a gateway answers a request by itself."""
    if http.path.startswith((PAGES, NOTEBOOKS, IMAGES)):
        return http.path == HEALTH
    headers = http.headers
    return signing_name(http) in SERVED and "x-amz-target" not in headers and "smithy-protocol" not in headers


class Channel:
    """A gateway's end: moves connections to the control process."""

    def __init__(self, control: socket.socket, on_closed: Callable[[], None]) -> None:
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._moving: deque[tuple[socket.socket, bytes]] = deque()
        control.setblocking(False)
        # The control process never writes: what can be read is its end.
        self._loop.add_reader(control.fileno(), self._closed, on_closed)

    def wants(self, http: Request, *, upgrade: bool) -> bool:
        """Whether the request is the control process's."""
        return upgrade or not serves(http)

    def take(self, transport: asyncio.Transport, received: bytes) -> None:
        """Moves a connection."""
        connection = transport.get_extra_info("socket").dup()
        transport.abort()
        self._moving.append((connection, received))
        self._move()

    def close(self) -> None:
        """Listens to the control process no more."""
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._control.close()

    def _closed(self, on_closed: Callable[[], None]) -> None:
        self._loop.remove_reader(self._control.fileno())
        on_closed()

    def _move(self) -> None:
        while self._moving:
            connection, received = self._moving[0]
            try:
                socket.send_fds(self._control, [received], [connection.fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._control.fileno(), self._move)
                return
            except OSError:
                log.warning("a connection could not be moved to the control process", exc_info=True)
            self._moving.popleft()
            connection.close()
        self._loop.remove_writer(self._control.fileno())


class Relay:
    """A gateway's way to a control process on another machine: passes connections on."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()

    def wants(self, http: Request, *, upgrade: bool) -> bool:
        """Whether the request is the control process's."""
        return upgrade or not serves(http)

    def take(self, transport: asyncio.Transport, received: bytes) -> None:
        """Passes a connection on."""
        connection = transport.get_extra_info("socket").dup()
        transport.abort()
        task = asyncio.create_task(self._pass_on(connection, received))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Ends what is passed on."""
        for task in self._tasks:
            task.cancel()

    async def _pass_on(self, connection: socket.socket, received: bytes) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            control_reader, control_writer = await asyncio.open_connection(*self._address)
        except OSError:
            log.warning("the control process at %s, port %d, cannot be reached", *self._address)
            writer.write(_UNREACHABLE)
            writer.close()
            return
        control_writer.write(received)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, control_writer))
                group.create_task(_copy(control_reader, writer))
        except* OSError:
            pass  # one of the two has gone
        finally:
            control_writer.close()
            writer.close()


class Gateways:
    """The control process's end: starts the gateways, starts them again when they end, and adopts connections.

    Args:
        settings: `gateways` of them tells how many.
        listener: where they accept.
        accept: makes the protocol of a connection, given what was read of it.
        on_change: told the process ids of those that run.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        accept: Callable[[bytes], asyncio.Protocol],
        on_change: Callable[[Sequence[int]], None],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._accept = accept
        self._on_change = on_change
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Starts them, without waiting until they serve."""
        for _ in range(self._settings.gateways):
            self._spawn(self._supervise())

    async def stop(self) -> None:
        """Ends them when they have answered what they were asked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        running = list(self._running.values())
        for process in running:
            process.terminate()
        await asyncio.to_thread(_wait, running)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_S
        while True:
            began = loop.time()
            await self._run()
            pause = FIRST_PAUSE_S if loop.time() - began > STEADY_S else min(2 * pause, LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    async def _run(self) -> None:
        """Starts one gateway; returns when it has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHANNEL_BYTES)
        with ours, theirs:
            process = await asyncio.to_thread(self._start, theirs)
            theirs.close()
            self._running[process.pid] = process
            self._on_change(list(self._running))
            await self._adopt_from(ours)
            status = await asyncio.to_thread(process.wait)
            del self._running[process.pid]
            self._on_change(list(self._running))
            log.warning("gateway %d has ended with status %d", process.pid, status)

    def _start(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        inherited = (self._listener.fileno(), channel.fileno())
        command = [sys.executable, "-m", "clary.gateway_process", *map(str, inherited)]
        variables = {**os.environ, **environment(self._settings)}
        # A session of its own: Ctrl-C is for the control process, which ends its gateways.
        return subprocess.Popen(command, env=variables, pass_fds=inherited, start_new_session=True)  # noqa: S603  # ours

    async def _adopt_from(self, channel: socket.socket) -> None:
        """Adopts what a gateway moves here, until it ends."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        channel.setblocking(False)

        def receive() -> None:
            try:
                received, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                received, descriptors = b"", []
            if descriptors:
                self._spawn(self._adopt(socket.socket(fileno=descriptors[0]), received))
            elif not ended.done():
                ended.set_result(None)

        loop.add_reader(channel.fileno(), receive)
        try:
            await ended
        finally:
            loop.remove_reader(channel.fileno())

    async def _adopt(self, connection: socket.socket, received: bytes) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # the client may have gone on the way
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._accept(received), connection)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(COPY_BYTES):
        writer.write(data)
        await writer.drain()
    writer.close()


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            continue
        process.kill()
        process.wait()


_UNREACHABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 40\r\nconnection: close\r\n\r\n"
    b"The control process cannot be reached.\r\n"
)
