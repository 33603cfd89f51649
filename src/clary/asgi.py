"""Web sockets between the HTTP server and what serves them: the one thing here that speaks ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from uvicorn.server import ServerState

    from clary.http import Request

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
WebSocketHandler = Callable[[Scope, Receive, Send], Awaitable[None]]


class WebSockets:
    """Takes connections over that become web sockets; uvicorn hands what they say to the application of `config`."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        self._config = config
        self._state = state

    def wants(self, http: Request, *, upgrade: bool) -> bool:
        """Whether a request asks for a web socket."""
        return upgrade and http.headers.get("upgrade", "").lower() == "websocket"

    def take(self, transport: asyncio.Transport, received: bytes) -> None:
        """Gives the connection another protocol, which reads the request again."""
        made = self._config.ws_protocol_class(config=self._config, server_state=self._state, app_state={})  # type: ignore[misc, call-arg]  # a union of uvicorn's protocols
        protocol = cast("asyncio.Protocol", made)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        transport.resume_reading()
        protocol.data_received(received)
