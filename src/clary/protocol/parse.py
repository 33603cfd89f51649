"""Requests to members: `parse` is what the gateway calls, the rest compiles it for an operation."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from clary.errors import RequestEntityTooLarge, ServiceError
from clary.http import BytesBody, Request, read
from clary.protocol import cbor
from clary.protocol.errors import (
    InvalidArgument,
    InvalidParameterValue,
    MalformedInput,
    MalformedXML,
    SerializationException,
)
from clary.protocol.form_shapes import FormReaders
from clary.protocol.json_shapes import JsonReaders, loads
from clary.protocol.rest import RequestBindings, Unreadable
from clary.protocol.xml_shapes import XmlReaders, parse_xml

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

    from clary.protocol.route import Call

BODY_LIMIT_BYTES = 16 << 20
PAYLOAD_LIMIT_BYTES = 26 << 20
"""Of bodies that are one member as a whole, such as the input of an inference."""

Parse = Callable[[Request, Mapping[str, str]], Awaitable[dict[str, Any]]]
ReadBody = Callable[[bytes], dict[str, Any]]


async def parse(call: Call, http: Request) -> dict[str, Any]:
    """The members of a request; a streaming member is `http.body` itself.

    Raises:
        ServiceError: the body, a header or the query string cannot be read as the operation's input.
    """
    try:
        return await call.codec.parse(http, call.parameters)
    except RecursionError:
        raise _too_deep(call.protocol) from None


class Parsers:
    """Compiles the parsers of one service in one protocol; they share the readers of common shapes."""

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._json = JsonReaders()
        self._xml = XmlReaders()
        ec2 = protocol == "ec2"
        self._form = FormReaders(InvalidParameterValue if ec2 else MalformedInput, ec2=ec2)

    def parser(self, model: OperationModel) -> Parse:
        """The parser of one operation."""
        shape = model.input_shape
        if shape is None:
            return _parse_nothing
        if self._protocol in {"query", "ec2"}:
            return self._form_parser(shape)
        if self._protocol in {"rest-json", "rest-xml"}:
            return self._rest_parser(shape)
        return _body_parser(self._whole_body(shape))

    def _whole_body(self, shape: Shape) -> ReadBody:
        read_members = self._json.reader(shape)
        decode = cbor.loads if self._protocol == "smithy-rpc-v2-cbor" else loads
        return lambda body: read_members(decode(body)) if body else {}

    def _form_parser(self, shape: Shape) -> Parse:
        form = self._form
        read_members = form.reader(shape)

        async def parse_form(_: Request, fields: Mapping[str, str]) -> dict[str, Any]:
            # The router has read them, since only a form itself tells its operation.
            members: dict[str, Any] = read_members(form.fold(fields), "")
            return members

        return parse_form

    def _rest_parser(self, shape: Shape) -> Parse:
        bindings = RequestBindings(shape)
        payload = shape.serialization.get("payload")
        read_rest: Parse | None
        if payload is not None:
            read_rest = self._payload(payload, shape.members[payload])
        elif any("location" not in member.serialization for member in shape.members.values()):
            read_rest = _body_parser(self._document(shape))
        else:
            read_rest = None
        unreadable = _unreadable_argument if self._protocol == "rest-xml" else _unreadable_member

        async def parse_rest(http: Request, labels: Mapping[str, str]) -> dict[str, Any]:
            try:
                members = bindings.read(labels, http.query, http.headers)
            except Unreadable as error:
                raise unreadable(error) from None
            if read_rest is not None:
                members.update(await read_rest(http, labels))
            return members

        return parse_rest

    def _payload(self, name: str, shape: Shape) -> Parse:
        if shape.serialization.get("streaming"):
            return _streaming_payload(name)
        if shape.type_name in {"blob", "string"}:
            return _plain_payload(name, text=shape.type_name == "string")
        read_member = self._document(shape)
        return _body_parser(lambda body: {name: read_member(body)} if body else {})

    def _document(self, shape: Shape) -> ReadBody:
        if self._protocol == "rest-xml":
            read_element = self._xml.reader(shape)
            return lambda body: read_element(parse_xml(body)) if body else {}
        read_members = self._json.reader(shape)
        return lambda body: read_members(loads(body)) if body else {}


async def read_body(http: Request, limit_bytes: int) -> bytes:
    """The body as a whole, unpacked when the client compressed it; `http.body` stays as it was sent."""
    body = await read(http.body, limit_bytes)
    if len(body) > limit_bytes:
        raise RequestEntityTooLarge(f"Request body is larger than {limit_bytes} bytes")
    http.body = BytesBody(body)
    if http.headers.get("content-encoding") == "gzip":
        return _unpack(body, limit_bytes)
    return body


def _unpack(body: bytes, limit_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, limit_bytes)
    except zlib.error:
        raise SerializationException("Could not decompress the request body") from None
    if unpacker.unconsumed_tail:
        raise RequestEntityTooLarge(f"Request body is larger than {limit_bytes} bytes")
    return unpacked


async def _parse_nothing(_: Request, __: Mapping[str, str]) -> dict[str, Any]:
    return {}


def _body_parser(read_members: ReadBody) -> Parse:
    async def parse_body(http: Request, _: Mapping[str, str]) -> dict[str, Any]:
        return read_members(await read_body(http, BODY_LIMIT_BYTES))

    return parse_body


def _streaming_payload(name: str) -> Parse:
    async def parse_stream(http: Request, _: Mapping[str, str]) -> dict[str, Any]:
        return {name: http.body}

    return parse_stream


def _plain_payload(name: str, *, text: bool) -> Parse:
    async def parse_payload(http: Request, _: Mapping[str, str]) -> dict[str, Any]:
        content = await read(http.body, PAYLOAD_LIMIT_BYTES)
        return {name: content.decode("utf-8", "replace") if text else content}

    return parse_payload


def _too_deep(protocol: str) -> ServiceError:
    if protocol == "rest-xml":
        return MalformedXML()
    return SerializationException("The request body is nested too deeply")


def _unreadable_argument(error: Unreadable) -> ServiceError:
    message = f"Provided {error.wire_name} is not a valid {error.kind}"
    if error.kind in {"integer", "long"}:
        message = f"Provided {error.wire_name} not an integer or within integer range"
    return InvalidArgument(message, ArgumentName=error.wire_name, ArgumentValue=error.text)


def _unreadable_member(error: Unreadable) -> ServiceError:
    return SerializationException(f"STRING_VALUE of {error.wire_name} can not be converted to {error.kind}")
