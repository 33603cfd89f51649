"""Single requests over plain sockets: what the client itself costs is the kernel's copying."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.client import Address

TIMEOUT_S = 120.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def send(address: Address, request: bytes) -> float:
    """The seconds until a request, however large, was answered with success."""
    return receive(address, request)[0]


def receive(address: Address, request: bytes) -> tuple[float, int]:
    """The seconds that an answer took, and the size of its body."""
    buffer = bytearray(1 << 20)
    started = time.perf_counter()
    with socket.create_connection(address, TIMEOUT_S) as connection:
        head, body = _ask(connection, request, buffer)
        received = len(body)
        match = _LENGTH.search(head)
        length = int(match[1]) if match else 0
        while received < length:
            count = connection.recv_into(buffer)
            if not count:
                raise RuntimeError(f"{received} of {length} bytes came")
            received += count
    return time.perf_counter() - started, received


def exchange(address: Address, request: bytes) -> tuple[bytes, bytes]:
    """The head and the body of a small answer."""
    buffer = bytearray(1 << 18)
    with socket.create_connection(address, TIMEOUT_S) as connection:
        head, body = _ask(connection, request, buffer)
        match = _LENGTH.search(head)
        while len(body) < int(match[1]) if match else not body.endswith(b"0\r\n\r\n"):
            count = connection.recv_into(buffer)
            if not count:
                raise RuntimeError(f"the answer broke off: {head!r}")
            body += buffer[:count]
    return head, body


def _ask(connection: socket.socket, request: bytes, buffer: bytearray) -> tuple[bytes, bytes]:
    """The head of the answer, and what came of its body together with it."""
    connection.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        count = connection.recv_into(buffer)
        if not count:
            raise RuntimeError(f"no answer: {head!r}")
        head += buffer[:count]
    head, _, body = head.partition(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 20", b"HTTP/1.0 20")):
        raise RuntimeError(f"refused: {head!r} {body[:500]!r}")
    return head, body
