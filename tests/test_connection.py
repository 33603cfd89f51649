"""HTTP as clients speak it, against a connection with a small gateway behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from uvicorn.server import ServerState

from clary.connection import HEAD_BYTES, Connection
from clary.http import Request, Response, read

Conversation = Callable[[bytes], Awaitable[bytes]]


class Nowhere:
    """Wants what begins with /elsewhere, and keeps what it was given."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def wants(self, http: Request, *, upgrade: bool) -> bool:
        return upgrade or http.path.startswith("/elsewhere")

    def take(self, transport: asyncio.Transport, received: bytes) -> None:
        self.taken.append(received)
        transport.abort()


async def echo(http: Request) -> Response:
    """Tells what came, in the way that the path asks for."""
    match http.path:
        case "/ignore":
            return Response(200, {"content-type": "text/plain"}, b"ignored")
        case "/stream":
            return Response(200, {}, _pieces(b"one", b"two"))
        case "/measured":
            return Response(200, {"Content-Length": "6"}, _pieces(b"one", b"two"))
        case "/short":
            return Response(200, {"Content-Length": "7"}, _pieces(b"one", b"two"))
        case "/inject":
            return Response(200, {"x-amz-meta-a": "b\r\nset-cookie: c=d"}, b"")
        case "/fail":
            raise RuntimeError("a fault")
    body = await read(http.body, 1 << 24)
    told = f"{http.method} {http.path} ? {http.query} {http.headers.get('x-a', '')} {len(body)}"
    return Response(200, {"Content-Type": "text/plain"}, told.encode(), cookies=("a=1", "b=2"))


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def talk(said: bytes, *more: bytes, elsewhere: Nowhere | None = None) -> bytes:
    """All that a server answers until it or the client ends the connection; the client waits before it says more."""
    return asyncio.run(_talk([said, *more], elsewhere or Nowhere()))


async def _talk(said: list[bytes], elsewhere: Nowhere) -> bytes:
    loop = asyncio.get_running_loop()
    state = ServerState()
    server = await loop.create_server(lambda: Connection(echo, elsewhere, state), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    answer = b""
    for each in said:
        writer.write(each)
        await writer.drain()
        if each is not said[-1]:
            answer += await asyncio.wait_for(reader.read(1 << 16), 5)
    try:
        while more := await asyncio.wait_for(reader.read(1 << 16), 0.3):
            answer += more
    except (TimeoutError, ConnectionResetError):
        pass
    writer.close()
    server.close()
    assert len(state.connections) <= 1
    return answer


def get(path: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *headers, "", ""]).encode("latin-1")


def test_a_request_and_its_answer() -> None:
    answer = talk(get("/a%20b?c=d", "X-A: 1", "x-a: 2"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"GET /a%20b ? c=d 1,2 0"
    assert head.count(b"set-cookie: ") == 2
    assert b"content-length: 22" in head


def test_the_answer_to_head_has_no_body() -> None:
    answer = talk(get("/", method="HEAD"), get("/", method="HEAD"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"HEAD /" not in answer


def test_requests_that_do_not_wait_are_answered_in_their_order() -> None:
    answer = talk(get("/1") + get("/2") + get("/3"))
    assert answer.index(b"GET /1") < answer.index(b"GET /2") < answer.index(b"GET /3")


@pytest.mark.parametrize("size", [0, 5, 70_000, 3_000_000])
def test_bodies_arrive_whole(size: int) -> None:
    answer = talk(get("/", f"Content-Length: {size}", method="PUT") + bytes(size))
    assert answer.endswith(f"PUT / ?   {size}".encode())


def test_a_body_in_chunks() -> None:
    answer = talk(get("/", "Transfer-Encoding: chunked", method="PUT") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert answer.endswith(b"PUT / ?   5")


def test_a_client_that_waits_is_told_to_continue() -> None:
    first = get("/", "Expect: 100-continue", "Content-Length: 3", method="PUT")
    assert talk(first).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert talk(first, b"abc").endswith(b"PUT / ?   3")


def test_a_client_that_waits_in_vain_is_sent_away() -> None:
    answer = talk(get("/ignore", "Expect: 100-continue", "Content-Length: 3", method="PUT"))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


def test_a_body_that_nobody_wants_does_not_spoil_the_next_request() -> None:
    answer = talk(get("/ignore", "Content-Length: 9", method="PUT") + b"GET / HT\r", get("/next"))
    assert answer.endswith(b"GET /next ?   0")


def test_a_stream_of_unknown_length() -> None:
    answer = talk(get("/stream"))
    assert b"transfer-encoding: chunked" in answer
    assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    old = talk(get("/stream", version="1.0"))
    assert b"transfer-encoding" not in old
    assert old.endswith(b"onetwo")


def test_a_stream_of_known_length() -> None:
    assert talk(get("/measured")).endswith(b"\r\n\r\nonetwo")


def test_a_stream_that_ends_too_early_ends_the_connection() -> None:
    answer = talk(get("/short") + get("/"))
    assert answer.endswith(b"onetwo")


def test_a_header_cannot_bring_another(caplog: pytest.LogCaptureFixture) -> None:
    answer = talk(get("/inject"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer
    assert "could not be answered" in caplog.text


def test_a_fault_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    assert talk(get("/fail")).startswith(b"HTTP/1.1 500 ")
    assert "a fault" in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        get("/", "Content-Length: 1", "Content-Length: 2"),
        get("/", "Content-Length: 3", "Transfer-Encoding: chunked"),
        get("/", "Transfer-Encoding: chunked, identity", method="PUT"),
        get("/", " folded: x"),
        b"GET / HTTP/1.1\nHost : x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(said: bytes) -> None:
    assert talk(said).startswith(b"HTTP/1.1 400 ")


def test_a_head_that_does_not_end_is_refused() -> None:
    said = b"GET / HTTP/1.1\r\n" + b"x-a: " + b"a" * (HEAD_BYTES + 1)
    assert talk(said).startswith(b"HTTP/1.1 431 ")


def test_an_old_client_and_one_that_wants_to_close() -> None:
    for said in (get("/", version="1.0"), get("/", "Connection: close")):
        answer = talk(said + get("/second"))
        assert b"connection: close" in answer
        assert b"second" not in answer


def test_a_connection_leaves_with_what_was_read_of_it() -> None:
    nowhere = Nowhere()
    moved = get("/elsewhere", "Content-Length: 4", method="POST") + b"body"
    answer = talk(get("/here"), moved, elsewhere=nowhere)
    assert answer.endswith(b"GET /here ?   0")
    assert nowhere.taken == [moved]


def test_a_connection_does_not_leave_in_the_middle_of_something_else() -> None:
    nowhere = Nowhere()
    answer = talk(get("/here") + get("/elsewhere"), elsewhere=nowhere)
    assert answer.endswith(b"GET /here ?   0")
    assert nowhere.taken == []
