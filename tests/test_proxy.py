from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from clary.proxy import Proxy, Replica, ReplicaGone, Variant

if TYPE_CHECKING:
    from pathlib import Path

HEAD = b"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\n"
KEY = ("1", "r", "e")

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(path: Path, answer: Answering) -> AsyncIterator[Replica]:
    conversations: list[asyncio.Task[None] | None] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        await answer(reader, writer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(converse, str(path))
    replica = Replica(path)
    try:
        yield replica
    finally:
        replica.close()
        server.close()
        await asyncio.gather(*filter(None, conversations))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request with its own body and the number of the request on its connection."""
    count = 0
    while head := await _head(reader):
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        count += 1
        reply = f"HTTP/1.1 200 OK\r\nX-Count: {count}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(reply + body)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def test_connections_are_kept(tmp_path: Path) -> None:
    async def ask() -> list[str]:
        async with served(tmp_path / "s", echo) as replica:
            return [(await replica.send(HEAD, b"hi", 5)).headers["x-count"] for _ in range(3)]

    assert asyncio.run(ask()) == ["1", "2", "3"]


def test_large_bodies_and_requests_side_by_side(tmp_path: Path) -> None:
    body = b"x" * 3_000_000
    head = HEAD.replace(b"Length: 2", f"Length: {len(body)}".encode())

    async def ask() -> None:
        async with served(tmp_path / "s", echo) as replica:
            answers = await asyncio.gather(*(replica.send(head, body, 20) for _ in range(4)))
            assert all(answer.body == body for answer in answers)
            assert replica.waiting == 0

    asyncio.run(ask())


def test_a_kept_connection_that_was_closed_is_replaced(tmp_path: Path) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async def ask() -> list[int]:
        async with served(tmp_path / "s", once) as replica:
            return [(await replica.send(HEAD, b"hi", 5)).status for _ in range(3)]

    assert asyncio.run(ask()) == [204, 204, 204]


def test_nobody_there_and_no_answer_in_time(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def ask() -> None:
        with pytest.raises(ReplicaGone):
            await Replica(tmp_path / "none").send(HEAD, b"hi", 5)
        async with served(tmp_path / "s", silent) as replica:
            with pytest.raises(TimeoutError):
                await replica.send(HEAD, b"hi", 0.05)

    asyncio.run(ask())


def test_the_route_keeps_what_stays(tmp_path: Path) -> None:
    proxy = Proxy()
    one, two = tmp_path / "1", tmp_path / "2"
    proxy.set(KEY, [("a", 1.0, [one, two])], None)
    route = proxy.get(KEY)
    assert route is not None
    kept = route.variants["a"].replicas[1]
    route.variants["a"].counters.invocations = 5
    proxy.set(KEY, [("a", 1.0, [two]), ("b", 0.0, [])], {"on": True})
    again = proxy.get(KEY)
    assert again is not None
    assert again.variants["a"].replicas == [kept]
    assert again.capture == {"on": True}
    assert proxy.take_counters(KEY)["a"].invocations == 5
    assert proxy.take_counters(KEY)["a"].invocations == 0
    proxy.remove(KEY)
    assert proxy.get(KEY) is None
    assert proxy.take_counters(KEY) == {}


def test_variants_are_picked_by_weight_or_by_name(tmp_path: Path) -> None:
    proxy = Proxy()
    proxy.set(KEY, [("a", 3.0, [tmp_path / "a"]), ("b", 1.0, [tmp_path / "b"])], None)
    route = proxy.get(KEY)
    assert route is not None
    picked = [route.pick().name for _ in range(2000)]
    assert 0.65 < picked.count("a") / len(picked) < 0.85
    assert route.pick("b").name == "b"
    with pytest.raises(KeyError):
        route.pick("c")


def test_the_replica_with_the_fewest_requests_is_picked(tmp_path: Path) -> None:
    busy, free = Replica(tmp_path / "1"), Replica(tmp_path / "2")
    busy.waiting = 3
    assert Variant("a", 1.0, [busy, free]).pick() is free
    with pytest.raises(ReplicaGone):
        Variant("a", 1.0, []).pick()


def test_a_link_in_the_place_of_a_socket_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "s")

    async def ask() -> None:
        async with served(tmp_path / "s", echo):
            with pytest.raises(ReplicaGone):
                await Replica(tmp_path / "link").send(HEAD, b"hi", 5)

    asyncio.run(ask())
