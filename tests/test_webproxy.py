"""The proxy in front of real servers on Unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.typing import Subprotocol

from clary.http import BytesBody, ClientGone, Request
from clary.webproxy import Upstream, UpstreamGone, bridge, forward, request_headers

if TYPE_CHECKING:
    from clary.http import Response

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Upstream:
    return Upstream(tmp_path_factory.mktemp("s") / "web.sock", {"authorization": "token t"})


@asynccontextmanager
async def server(path: Path, talk: Talk) -> AsyncIterator[None]:
    async with await asyncio.start_unix_server(talk, str(path)):
        yield


def answer(text: bytes, seen: list[bytes], *, until: bytes = b"\r\n\r\n") -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(until))
        writer.write(text)
        await writer.drain()
        writer.close()

    return talk


async def text_of(response: Response) -> bytes:
    assert not isinstance(response.body, bytes)
    return b"".join([chunk async for chunk in response.body])


def run(action: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(action, 10))


def get(path: str = "/base/x", method: str = "GET", body: bytes = b"", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, "a=1&b=%2F", {"host": "clary:4100", **named}, BytesBody(body))


def test_a_request_goes_through_with_the_headers_of_the_upstream(upstream: Upstream) -> None:
    async def act() -> Response:
        text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nserver: x\r\n\r\nhi"
        async with server(upstream.socket, answer(text, seen)):
            response = await forward(get(authorization="Basic z", connection="x-one", x_one="1", x_two="2"), upstream)
            assert await text_of(response) == b"hi"
            return response

    seen: list[bytes] = []
    response = run(act())
    assert seen[0].startswith(b"GET /base/x?a=1&b=%2F HTTP/1.1\r\n")
    assert b"\r\nauthorization: token t\r\n" in seen[0]
    assert b"host: localhost" in seen[0]
    assert b"x-one" not in seen[0]
    assert b"x-two: 2" in seen[0]
    assert response.cookies == ("a=1", "b=2")
    assert response.headers == {"content-length": "2"}


@pytest.mark.parametrize("framing", [{"content_length": "5"}, {"transfer_encoding": "chunked"}])
def test_a_body_goes_through_however_it_is_framed(upstream: Upstream, framing: dict[str, str]) -> None:
    async def act() -> bytes:
        async with server(upstream.socket, answer(b"HTTP/1.1 204 No Content\r\n\r\n", seen, until=b"hello")):
            return await text_of(await forward(get(method="PUT", body=b"hello", **framing), upstream))

    seen: list[bytes] = []
    assert run(act()) == b""
    assert (b"5\r\nhello" in seen[0]) == ("transfer_encoding" in framing)


def test_an_answer_arrives_while_it_is_made(upstream: Upstream) -> None:
    async def act() -> None:
        first_was_read = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            await first_was_read.wait()
            writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
            writer.close()

        async with server(upstream.socket, talk):
            response = await forward(get(), upstream)
            assert not isinstance(response.body, bytes)
            chunks = aiter(response.body)
            assert await anext(chunks) == b"one"
            first_was_read.set()
            assert [chunk async for chunk in chunks] == [b"two"]

    run(act())


def test_a_refusal_before_the_body_was_read_is_told(upstream: Upstream) -> None:
    async def act() -> int:
        text = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"
        async with server(upstream.socket, answer(text, [])):
            body = b"x" * (1 << 20)
            response = await forward(get(method="PUT", body=body, content_length=str(len(body))), upstream)
            await text_of(response)
            return response.status

    assert run(act()) == 413


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n"])
def test_no_answer_is_no_response(upstream: Upstream, text: bytes) -> None:
    async def act() -> None:
        async with server(upstream.socket, answer(text, [])):
            await forward(get(), upstream)

    with pytest.raises(UpstreamGone):
        run(act())


def test_no_server_is_no_response(upstream: Upstream) -> None:
    with pytest.raises(UpstreamGone):
        run(forward(get(), upstream))


def test_an_answer_that_breaks_off_breaks_off(upstream: Upstream) -> None:
    async def act() -> None:
        async with server(upstream.socket, answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", [])):
            await text_of(await forward(get(), upstream))

    with pytest.raises(ClientGone):
        run(act())


def test_the_public_address_stays_outside() -> None:
    given = {"host": "a", "origin": "http://a", "referer": "http://a/x", "sec-fetch-site": "cross-site", "accept": "*"}
    assert request_headers(given, Upstream(Path("s"))) == {"host": "localhost", "accept": "*", "connection": "close"}


class Browser:
    """The ASGI side of a web socket."""

    def __init__(self, *messages: dict[str, Any], subprotocols: tuple[str, ...] = ()) -> None:
        self.scope = {
            "type": "websocket",
            "raw_path": b"/base/ws",
            "query_string": b"q=1",
            "headers": [(b"host", b"clary"), (b"origin", b"http://clary"), (b"sec-websocket-key", b"k")],
            "subprotocols": list(subprotocols),
        }
        self.sent: list[dict[str, Any]] = []
        self.more = asyncio.Queue[dict[str, Any]]()
        for message in messages:
            self.more.put_nowait(message)

    async def receive(self) -> dict[str, Any]:
        return await self.more.get()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


def bridged(browser: Browser, upstream: Upstream, handler: Callable[[ServerConnection], Awaitable[None]]) -> None:
    async def act() -> None:
        protocols = [Subprotocol("v2"), Subprotocol("v1")]
        async with unix_serve(handler, str(upstream.socket), subprotocols=protocols, max_size=None):
            await bridge(browser.scope, browser.receive, browser.send, upstream)

    run(act())


def test_frames_of_any_size_go_both_ways(upstream: Upstream) -> None:
    async def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.path == "/base/ws?q=1"
        assert connection.request.headers["authorization"] == "token t"
        assert "origin" not in connection.request.headers
        async for message in connection:
            await connection.send(message)
            if message == b"end":
                break
        await connection.close(4001)

    big = "x" * (3 << 20)
    browser = Browser(
        {"type": "websocket.receive", "text": big},
        {"type": "websocket.receive", "text": None, "bytes": b"end"},
        subprotocols=("v1",),
    )
    bridged(browser, upstream, echo)
    assert browser.sent == [
        {"type": "websocket.accept", "subprotocol": "v1"},
        {"type": "websocket.send", "text": big},
        {"type": "websocket.send", "bytes": b"end"},
        {"type": "websocket.close", "code": 4001},
    ]


def test_the_server_learns_that_the_browser_went(upstream: Upstream) -> None:
    async def wait(connection: ServerConnection) -> None:
        async for _ in connection:
            pass
        gone.append(True)

    gone: list[bool] = []
    bridged(Browser({"type": "websocket.disconnect", "code": 1001}, subprotocols=("v1",)), upstream, wait)
    assert gone == [True]


def test_a_web_socket_that_leads_nowhere_is_refused(upstream: Upstream) -> None:
    browser = Browser()
    run(bridge(browser.scope, browser.receive, browser.send, upstream))
    assert browser.sent == [{"type": "websocket.close", "code": 1001}]
