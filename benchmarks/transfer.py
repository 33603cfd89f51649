"""One large body over a plain socket: what the client itself costs is the kernel's copying."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.client import Address

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def send(address: Address, request: bytes) -> float:
    """The seconds until a request, however large, was answered with success."""
    return _exchange(address, request)[0]


def receive(address: Address, request: bytes) -> tuple[float, int]:
    """The seconds that an answer took, and the size of its body."""
    return _exchange(address, request)


def _exchange(address: Address, request: bytes) -> tuple[float, int]:
    buffer = bytearray(1 << 20)
    started = time.perf_counter()
    with socket.create_connection(address, 60) as connection:
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            count = connection.recv_into(buffer)
            if not count:
                raise RuntimeError(f"no answer: {head!r}")
            head += buffer[:count]
        head, _, body = head.partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise RuntimeError(f"refused: {head!r} {body[:500]!r}")
        match = _LENGTH.search(head)
        length = int(match[1]) if match else 0
        received = len(body)
        while received < length:
            count = connection.recv_into(buffer)
            if not count:
                raise RuntimeError(f"{received} of {length} bytes came")
            received += count
    return time.perf_counter() - started, received
