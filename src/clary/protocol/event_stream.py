"""Frames of `application/vnd.amazon.eventstream`, in which answers are sent piece by piece."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

from clary.errors import ServiceError

if TYPE_CHECKING:
    from botocore.model import Shape

CONTENT_TYPE = "application/vnd.amazon.eventstream"

Event = Mapping[str, Any]
"""One event: the member of the stream's shape that it is, with that member's members."""

WriteDocument = Callable[[Any], bytes]
_STRING = 7


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message: lengths and their checksum, headers, payload, checksum of all."""
    written = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    lengths = struct.pack(">II", len(written) + len(payload) + 16, len(written))
    head = lengths + struct.pack(">I", crc32(lengths)) + written
    return head + payload + struct.pack(">I", crc32(payload, crc32(head)))


class EventWriter:
    """Writes the events of one stream shape; `documents` compiles a shape to bytes of `content_type`."""

    def __init__(self, shape: Shape, documents: Callable[[Shape], WriteDocument], content_type: str) -> None:
        self._documents = documents
        self._content_type = content_type
        self._exceptions = {name: event for name, event in shape.members.items() if event.metadata.get("exception")}
        self._events = {
            name: _event_writer(name, event, documents, content_type) for name, event in shape.members.items()
        }

    async def frames(
        self, events: AsyncIterator[Event] | Iterable[Event], *, first: bytes = b""
    ) -> AsyncIterator[bytes]:
        """The frames of all events; an error ends the stream with a frame that tells it."""
        if first:
            yield first
        try:
            if isinstance(events, AsyncIterator):
                async for event in events:
                    yield self._frame(event)
            else:
                for event in events:
                    yield self._frame(event)
        except ServiceError as error:
            yield self._error_frame(error)

    def _frame(self, event: Event) -> bytes:
        ((name, members),) = event.items()
        return self._events[name](members)

    def _error_frame(self, error: ServiceError) -> bytes:
        shape = self._exceptions.get(error.code)
        if shape is None:
            headers = {":message-type": "error", ":error-code": error.code, ":error-message": error.message}
            return frame(headers, b"")
        message = {name: error.message for name in shape.members if name.lower() == "message"}
        headers = {
            ":message-type": "exception",
            ":exception-type": error.code,
            ":content-type": self._content_type,
        }
        return frame(headers, self._documents(shape)({**message, **error.members}))


def initial_response(document: bytes, content_type: str) -> bytes:
    """The frame that carries the members beside the stream, in protocols that have no headers for them."""
    return frame({":message-type": "event", ":event-type": "initial-response", ":content-type": content_type}, document)


def _event_writer(
    name: str, shape: Shape, documents: Callable[[Shape], WriteDocument], content_type: str
) -> Callable[[Mapping[str, Any]], bytes]:
    headers = {":message-type": "event", ":event-type": name}
    payload = next((key for key, member in shape.members.items() if member.serialization.get("eventpayload")), None)
    if payload is None:
        write_all = documents(shape)
        headers[":content-type"] = content_type
        return lambda members: frame(headers, write_all(members) if members else b"")
    member = shape.members[payload]
    if member.type_name == "blob":
        headers[":content-type"] = "application/octet-stream"
        return lambda members: frame(headers, members.get(payload, b""))
    if member.type_name == "string":
        headers[":content-type"] = "text/plain"
        return lambda members: frame(headers, members.get(payload, "").encode())
    write = documents(member)
    headers[":content-type"] = content_type
    return lambda members: frame(headers, write(members[payload]))
