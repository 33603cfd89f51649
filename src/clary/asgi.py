"""Carries HTTP between an ASGI server and the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from clary.http import BytesBody, ClientGone, FileSlice, FileSlices, Request, Response

if TYPE_CHECKING:
    from clary.gateway import Gateway

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
WebSocketHandler = Callable[[Scope, Receive, Send], Awaitable[None]]

DROPPED_BYTES = 1 << 20
"""Most that is read of a body whose request was refused; beyond that closing the connection is cheaper."""


class Application:
    """The ASGI application: one gateway, and one handler for web sockets."""

    def __init__(self, gateway: Gateway, web_socket: WebSocketHandler) -> None:
        self._gateway = gateway
        self._web_socket = web_socket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection event of the server."""
        if scope["type"] == "http":
            request = _request(scope)
            request.body = body = _ReceivedBody(receive, request.headers)
            try:
                response = await self._gateway.handle(request)
                if not await body.taken():
                    response.headers["connection"] = "close"
                await _send(response, scope["method"], send)
            except ClientGone:
                return
        elif scope["type"] == "websocket":
            await self._web_socket(scope, receive, send)


class _ReceivedBody:
    """The body of a request as the server hands it over."""

    def __init__(self, receive: Receive, headers: dict[str, str]) -> None:
        self._receive = receive
        self._complete = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._awaited = "expect" in headers

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._complete:
            message = await self._receive()
            self._awaited = False
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._complete = not message.get("more_body")
            chunk: bytes = message.get("body", b"")
            if chunk:
                return chunk
        raise StopAsyncIteration

    async def taken(self) -> bool:
        """Whether the next request may follow on the same connection; reads what little nobody wanted to read."""
        # A client that waits for `100 Continue` and hears an error instead does not send its body at all.
        if self._complete or self._awaited:
            return self._complete
        dropped = 0
        async for chunk in self:
            dropped += len(chunk)
            if dropped > DROPPED_BYTES:
                break
        return self._complete


def _request(scope: Scope) -> Request:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in scope["headers"]:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=BytesBody(b""),
        scheme=scope["scheme"],
        client=scope["client"][0] if scope["client"] else "",
    )


async def _send(response: Response, method: str, send: Send) -> None:
    body = response.body
    fields = {name.lower(): value for name, value in response.headers.items()}
    if isinstance(body, bytes):
        fields.setdefault("content-length", str(len(body)))
    elif isinstance(body, FileSlice):
        fields.setdefault("content-length", str(body.length))
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    headers.extend((b"set-cookie", cookie.encode("latin-1")) for cookie in response.cookies)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if method != "HEAD" and not isinstance(body, bytes):
        async for chunk in _chunks(body):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _chunks(body: FileSlice | FileSlices | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in FileSlices((body,)) if isinstance(body, FileSlice) else body:
        yield chunk
