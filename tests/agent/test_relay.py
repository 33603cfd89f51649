from __future__ import annotations

import http.client
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from clary.agent import relay
from clary.agent.workload import PROXY, Forward

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def proxy() -> Iterator[int]:
    """The port of a relay that connects its clients to wherever they ask."""
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if process == 0:
        relay.run(theirs, [Forward("127.0.0.1", 1, PROXY)])
    socket.send_fds(ours, [b"listeners"], [listener.fileno()])
    yield listener.getsockname()[1]
    for each in (ours, theirs, listener):
        each.close()
    os.kill(process, 9)
    os.waitpid(process, 0)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers with what one client says."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(100).upper())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.close()


def asked(proxy: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy)) as client:
        client.sendall(request)
        answer = b""
        while data := client.recv(1000):
            answer += data
        return answer


def test_a_client_is_connected_to_where_it_asks(proxy: int, echo: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy)
    connection.set_tunnel("127.0.0.1", echo)
    connection.connect()
    connection.sock.sendall(b"hello")
    assert connection.sock.recv(100) == b"HELLO"
    connection.close()


def test_what_cannot_be_reached_is_told(proxy: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert asked(proxy, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("request_line", [b"GET http://x/ HTTP/1.1", b"nonsense", b"CONNECT nowhere HTTP/1.1"])
def test_other_requests_end_the_connection(proxy: int, request_line: bytes) -> None:
    assert b" 200 " not in asked(proxy, request_line + b"\r\n\r\n")
