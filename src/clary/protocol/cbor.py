"""Concise Binary Object Representation (RFC 8949), as far as Smithy's RPC v2 protocol uses it."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clary.protocol import timestamps
from clary.protocol.errors import SerializationException

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTH_LIMIT = 64
_BREAK = object()
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
_INDEFINITE = 31
_NUMBERS = frozenset({0, 1})
_STRINGS = frozenset({2, 3})
_TAG_EPOCH = 1


def loads(body: bytes) -> Any:
    """The document in `body`; raises SerializationException when it is not CBOR."""
    try:
        return _Decoder(body).item(0)
    except (IndexError, ValueError, TypeError, struct.error):
        raise SerializationException("Could not parse the request body as CBOR") from None


def dumps(document: Any) -> bytes:
    """The bytes of a document of plain values, bytes and datetimes."""
    parts: list[bytes] = []
    _encode(document, parts.append)
    return b"".join(parts)


class _Decoder:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def item(self, depth: int) -> Any:
        if depth > DEPTH_LIMIT:
            raise ValueError("nested too deeply")
        major, info = divmod(self._body[self._at], 32)
        self._at += 1
        if major == 7:
            return self._simple(info)
        if info == _INDEFINITE:
            return self._indefinite(major, depth)
        return self._definite(major, self._argument(info), depth)

    def _definite(self, major: int, argument: int, depth: int) -> Any:
        if major in _NUMBERS:
            return argument if major == 0 else -1 - argument
        if major in _STRINGS:
            taken = self._take(argument)
            return taken if major == 2 else taken.decode()
        if major == 4:
            return [self.item(depth + 1) for _ in range(argument)]
        if major == 5:
            return {self.item(depth + 1): self.item(depth + 1) for _ in range(argument)}
        value = self.item(depth + 1)
        return timestamps.from_epoch(value) if argument == _TAG_EPOCH else value

    def _indefinite(self, major: int, depth: int) -> Any:
        items = []
        while (item := self.item(depth + 1)) is not _BREAK:
            items.append(item)
        match major:
            case 2:
                return b"".join(items)
            case 3:
                return "".join(items)
            case 4:
                return items
            case 5:
                return dict(zip(items[::2], items[1::2], strict=True))
        raise ValueError("indefinite length of a number")

    def _simple(self, info: int) -> Any:
        if info == _INDEFINITE:
            return _BREAK
        if info in _FLOATS:
            code, size = _FLOATS[info]
            return struct.unpack(code, self._take(size))[0]
        if info not in _SIMPLE:
            raise ValueError("unknown simple value")
        return _SIMPLE[info]

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise ValueError("reserved length")
        return int.from_bytes(self._take(1 << (info - 24)), "big")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._body):
            raise ValueError("ends early")
        taken = self._body[self._at : end]
        self._at = end
        return taken


def _encode(value: Any, emit: Callable[[bytes], None]) -> None:
    if isinstance(value, dict):
        emit(_head(5, len(value)))
        for key, item in value.items():
            _encode(key, emit)
            _encode(item, emit)
    elif isinstance(value, list | tuple):
        emit(_head(4, len(value)))
        for item in value:
            _encode(item, emit)
    else:
        emit(_scalar(value))


def _scalar(value: Any) -> bytes:
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case bytes():
            return _head(2, len(value)) + value
    seconds = timestamps.epoch(value) if isinstance(value, datetime) else value
    return (b"\xc1" if isinstance(value, datetime) else b"") + b"\xfb" + struct.pack(">d", seconds)


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise ValueError("number too large")
