"""Inference traffic to the replicas of endpoints, over Unix sockets with kept connections.

The table of routes is computed from the store by the endpoint controller and never the truth itself.
"""

from __future__ import annotations

import asyncio
import random
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EndpointKey = tuple[str, str, str]
"""Account, region and name of an endpoint."""

CONNECT_TIMEOUT_S = 5.0


class ReplicaGone(ConnectionError):
    """The replica closed the connection or cannot be reached."""


@dataclass(slots=True)
class Answer:
    """What a replica answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Counters:
    """What happened since the counters were last taken; latencies in microseconds, as CloudWatch has them."""

    invocations: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    latencies: list[float] = field(default_factory=list)


class Replica:
    """One model server, reached by its Unix socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.waiting = 0
        self._idle: list[_Connection] = []

    async def send(self, head: bytes, body: bytes, timeout_s: float) -> Answer:
        """Sends one request and returns the whole answer.

        Raises:
            ReplicaGone: nobody answers at the socket.
            TimeoutError: the answer did not come in time.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(head, body)
        finally:
            self.waiting -= 1

    async def _exchange(self, head: bytes, body: bytes) -> Answer:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                try:
                    return await self._ask(connection, head, body)
                except ReplicaGone:
                    # The server may close a kept connection at any time; a fresh one tells whether it is gone.
                    continue
        return await self._ask(await self._connect(), head, body)

    async def _ask(self, connection: _Connection, head: bytes, body: bytes) -> Answer:
        try:
            answer = await connection.ask(head, body)
        except asyncio.CancelledError:
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        return answer

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            # A model server could link its place to the socket of another.
            if not stat.S_ISSOCK(self.socket.lstat().st_mode):
                raise ReplicaGone(f"{self.socket} is no socket")
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_unix_connection(_Connection, str(self.socket))
        except (OSError, TimeoutError) as error:
            raise ReplicaGone(str(self.socket)) from error
        return connection

    def close(self) -> None:
        """Closes the kept connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Connection(asyncio.Protocol):
    """One kept HTTP/1.1 connection; a request at a time."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ReplicaGone(f"the model server does not speak HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail(ReplicaGone(str(exc or "the model server closed the connection")))

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """Writes a request and waits for its answer."""
        if self._transport is None:
            raise ReplicaGone("not connected")
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._chunks = {}, []
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(head + body if len(body) < 65536 else head)
        if len(body) >= 65536:
            self._transport.write(body)
        return await self._done

    def close(self) -> None:
        """Ends the connection."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._done is not None and not self._done.done():
            self._done.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._chunks)))

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


@dataclass(slots=True)
class Variant:
    """A production variant with its replicas that are in service."""

    name: str
    weight: float
    replicas: list[Replica]
    counters: Counters = field(default_factory=Counters)

    def pick(self) -> Replica:
        """The replica with the fewest requests under way.

        Raises:
            ReplicaGone: none is in service.
        """
        if not self.replicas:
            raise ReplicaGone(f"variant {self.name} has no instance in service")
        return min(self.replicas, key=lambda replica: replica.waiting)


@dataclass(slots=True)
class Route:
    """Where the requests for one endpoint go; `capture` is its DataCaptureConfig, None when it is off."""

    variants: dict[str, Variant]
    capture: Mapping[str, object] | None = None

    def pick(self, target: str = "") -> Variant:
        """The variant asked for, or one by weight.

        Raises:
            KeyError: there is no variant of that name.
        """
        if target:
            return self.variants[target]
        variants = list(self.variants.values())
        if len(variants) == 1:
            return variants[0]
        weights = [variant.weight for variant in variants]
        return random.choices(variants, weights if any(weights) else None)[0]  # noqa: S311  # traffic, not secrets


class Proxy:
    """The table of routes; read and written on the event loop only."""

    def __init__(self) -> None:
        self._routes: dict[EndpointKey, Route] = {}

    def get(self, key: EndpointKey) -> Route | None:
        """The route of an endpoint that is in service."""
        return self._routes.get(key)

    def set(
        self,
        key: EndpointKey,
        variants: Sequence[tuple[str, float, Sequence[Path]]],
        capture: Mapping[str, object] | None,
    ) -> None:
        """Puts a route in place; replicas that stay keep their connections and counters."""
        before = self._routes.get(key) or Route({})
        kept = {replica.socket: replica for variant in before.variants.values() for replica in variant.replicas}
        after = {
            name: Variant(
                name,
                weight,
                [kept.pop(socket) if socket in kept else Replica(socket) for socket in sockets],
                before.variants[name].counters if name in before.variants else Counters(),
            )
            for name, weight, sockets in variants
        }
        self._routes[key] = Route(after, capture)
        for replica in kept.values():
            replica.close()

    def remove(self, key: EndpointKey) -> None:
        """Takes a route away."""
        route = self._routes.pop(key, None)
        for variant in route.variants.values() if route else ():
            for replica in variant.replicas:
                replica.close()

    def take_counters(self, key: EndpointKey) -> dict[str, Counters]:
        """The counters of an endpoint by variant, which begin anew."""
        route = self._routes.get(key)
        if route is None:
            return {}
        taken = {name: variant.counters for name, variant in route.variants.items()}
        for variant in route.variants.values():
            variant.counters = Counters()
        return taken
