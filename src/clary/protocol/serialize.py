"""Members and errors to responses: `serialize` is what the gateway calls, the rest compiles it for an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clary.http import FileSlice, Reply, Response
from clary.protocol import cbor, event_stream, s3_roots, timestamps
from clary.protocol.error_documents import serialize_error
from clary.protocol.errors import refuse_unknown
from clary.protocol.event_stream import EventWriter
from clary.protocol.json_shapes import JsonWriters, dumps
from clary.protocol.rest import ResponseBindings
from clary.protocol.xml_shapes import XmlWriters, escape

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

    from clary.protocol.route import Call

__all__ = ["Serializers", "serialize", "serialize_error"]

Serialize = Callable[[Reply, str], Response]
WriteDocument = Callable[[Any], bytes]

XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TIMESTAMPS = {"query": timestamps.iso_seconds}
_WITHOUT_BODY = frozenset({204, 303, 304})


def serialize(call: Call, reply: Reply, request_id: str) -> Response:
    """The response that tells a handler's answer in the protocol of the call."""
    return call.codec.serialize(reply, request_id)


class Serializers:
    """Compiles the serializers of one service in one protocol; `strict` refuses members that an output has not."""

    def __init__(self, protocol: str, metadata: Mapping[str, Any], *, strict: bool) -> None:
        self._protocol = protocol
        self._metadata = metadata
        self._strict = strict
        self._json = JsonWriters(cbor=protocol == "smithy-rpc-v2-cbor", strict=strict)
        self._xml = XmlWriters(_TIMESTAMPS.get(protocol, timestamps.iso_milliseconds), strict=strict)

    def serializer(self, model: OperationModel) -> Serialize:
        """The serializer of one operation."""
        match self._protocol:
            case "json":
                return self._json_serializer(model.output_shape)
            case "smithy-rpc-v2-cbor":
                return self._cbor_serializer(model.output_shape)
            case "query":
                return self._query_serializer(model)
            case "ec2":
                return self._ec2_serializer(model)
        return self._rest_serializer(model)

    def _json_serializer(self, shape: Shape | None) -> Serialize:
        content_type = f"application/x-amz-json-{self._metadata.get('jsonVersion', '1.1')}"
        if shape is not None and shape.event_stream_name:
            return self._json_stream(shape, content_type)
        write = self._json.writer(shape) if shape is not None else None

        def serialize_json(reply: Reply, request_id: str) -> Response:
            headers = {"x-amzn-RequestId": request_id, "Content-Type": content_type, **reply.headers}
            body = dumps(write(reply.members)) if write is not None else b""
            return Response(reply.status or 200, headers, body)

        return serialize_json

    def _json_stream(self, shape: Shape, content_type: str) -> Serialize:
        name = shape.event_stream_name
        write = self._document(shape)
        events = EventWriter(shape.members[name], self._document, "application/json")

        def serialize_stream(reply: Reply, request_id: str) -> Response:
            headers = {"x-amzn-RequestId": request_id, "Content-Type": event_stream.CONTENT_TYPE, **reply.headers}
            beside = {key: value for key, value in reply.members.items() if key != name}
            first = event_stream.initial_response(write(beside), content_type)
            return Response(reply.status or 200, headers, events.frames(reply.members[name], first=first))

        return serialize_stream

    def _cbor_serializer(self, shape: Shape | None) -> Serialize:
        write = self._json.writer(shape) if shape is not None else None

        def serialize_cbor(reply: Reply, request_id: str) -> Response:
            headers = {"x-amzn-RequestId": request_id, "smithy-protocol": "rpc-v2-cbor", **reply.headers}
            if write is None:
                return Response(reply.status or 200, headers)
            headers["Content-Type"] = "application/cbor"
            return Response(reply.status or 200, headers, cbor.dumps(write(reply.members)))

        return serialize_cbor

    def _query_serializer(self, model: OperationModel) -> Serialize:
        root = f"{model.name}Response"
        before = f'<{root} xmlns="{self._metadata["xmlNamespace"]}">'
        after = f"</{root}>"
        shape = model.output_shape
        write = self._xml.content(shape) if shape is not None else None
        wrapper = shape.serialization.get("resultWrapper") if shape is not None else None

        def serialize_query(reply: Reply, request_id: str) -> Response:
            result = write(reply.members) if write is not None else ""
            if wrapper is not None:
                result = f"<{wrapper}>{result}</{wrapper}>"
            metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
            headers = {"x-amzn-RequestId": request_id, "Content-Type": "text/xml", **reply.headers}
            return Response(reply.status or 200, headers, f"{before}{result}{metadata}{after}".encode())

        return serialize_query

    def _ec2_serializer(self, model: OperationModel) -> Serialize:
        root = f"{model.name}Response"
        namespace = self._metadata["xmlNamespace"].rstrip("/")
        before = f'{XML_DECLARATION}<{root} xmlns="{namespace}/"><requestId>'
        after = f"</{root}>"
        shape = model.output_shape
        write = self._xml.content(shape) if shape is not None else None

        def serialize_ec2(reply: Reply, request_id: str) -> Response:
            result = write(reply.members) if write is not None else "<return>true</return>"
            headers = {"x-amzn-RequestId": request_id, "Content-Type": "text/xml;charset=UTF-8", **reply.headers}
            return Response(reply.status or 200, headers, f"{before}{request_id}</requestId>{result}{after}".encode())

        return serialize_ec2

    def _rest_serializer(self, model: OperationModel) -> Serialize:
        shape = model.output_shape
        default_status = model.http.get("responseCode", 200)
        request_headers = ("x-amz-request-id", "x-amz-id-2") if self._protocol == "rest-xml" else ("x-amzn-RequestId",)
        bindings = ResponseBindings(shape) if shape is not None else None
        write_body = self._rest_body(model, shape)

        def serialize_rest(reply: Reply, request_id: str) -> Response:
            headers = dict.fromkeys(request_headers, request_id)
            members, status = reply.members, reply.status or default_status
            if bindings is not None:
                bindings.write(members, headers)
                status = reply.status or members.get(bindings.status_member) or default_status
                if "Content-Range" in headers and status == 200:
                    status = 206
            response = Response(status, headers)
            if write_body is not None and status not in _WITHOUT_BODY:
                write_body(members, response)
            headers.update(reply.headers)
            return response

        return serialize_rest

    def _rest_body(
        self, model: OperationModel, shape: Shape | None
    ) -> Callable[[Mapping[str, Any], Response], None] | None:
        if shape is None:
            return None
        payload = shape.serialization.get("payload")
        if payload is not None:
            return self._payload(payload, shape)
        if all("location" in member.serialization for member in shape.members.values()):
            return self._no_body(shape)
        if model.name == "GetBucketLocation":
            return _write_location
        return _document_body(
            self._root(shape, s3_roots.ROOTS.get(model.name, f"{model.name}Result")), self._content_type
        )

    def _payload(self, name: str, output: Shape) -> Callable[[Mapping[str, Any], Response], None]:
        shape = output.members[name]
        check = self._no_body(output)
        if shape.serialization.get("eventstream"):
            return _stream_body(name, EventWriter(shape, self._document, self._event_type))
        if shape.type_name in {"blob", "string"}:
            write = _blob_body(name, "application/json" if shape.type_name == "string" else "application/octet-stream")
        else:
            write_document = self._root(shape, shape.serialization.get("name", shape.name))
            write = _document_body(lambda members: write_document(members[name]), self._content_type, needs=name)

        def write_payload(members: Mapping[str, Any], response: Response) -> None:
            check(members, response)
            write(members, response)

        return write_payload

    def _no_body(self, shape: Shape) -> Callable[[Mapping[str, Any], Response], None]:
        known = frozenset(shape.members)

        def check(members: Mapping[str, Any], _: Response) -> None:
            if self._strict and not known.issuperset(members):
                refuse_unknown(shape.name, str(set(members) - known), strict=True)

        return check

    def _document(self, shape: Shape) -> WriteDocument:
        return self._root(shape, shape.name)

    def _root(self, shape: Shape, tag: str) -> WriteDocument:
        if self._protocol != "rest-xml":
            write = self._json.writer(shape)
            return lambda members: dumps(write(members) if write is not None else members)
        content = self._xml.content(shape)
        before = f'{XML_DECLARATION}<{tag} xmlns="{s3_roots.NAMESPACE}">'
        return lambda members: f"{before}{content(members)}</{tag}>".encode()

    @property
    def _content_type(self) -> str:
        return "application/xml" if self._protocol == "rest-xml" else "application/json"

    @property
    def _event_type(self) -> str:
        return "text/xml" if self._protocol == "rest-xml" else "application/json"


def _document_body(
    write: WriteDocument, content_type: str, needs: str = ""
) -> Callable[[Mapping[str, Any], Response], None]:
    def write_document(members: Mapping[str, Any], response: Response) -> None:
        if needs and members.get(needs) is None:
            return
        response.headers["Content-Type"] = content_type
        response.body = write(members)

    return write_document


def _blob_body(name: str, content_type: str) -> Callable[[Mapping[str, Any], Response], None]:
    def write_blob(members: Mapping[str, Any], response: Response) -> None:
        body = members.get(name, b"")
        response.body = body.encode() if isinstance(body, str) else body
        response.headers.setdefault("Content-Type", content_type)
        if isinstance(body, FileSlice):
            response.headers.setdefault("Content-Length", str(body.length))

    return write_blob


def _stream_body(name: str, events: EventWriter) -> Callable[[Mapping[str, Any], Response], None]:
    def write_stream(members: Mapping[str, Any], response: Response) -> None:
        response.headers["Content-Type"] = event_stream.CONTENT_TYPE
        response.body = events.frames(members[name])

    return write_stream


def _write_location(members: Mapping[str, Any], response: Response) -> None:
    # The root itself is the member, which the model cannot say; us-east-1 is told by an empty element.
    location = escape(members.get("LocationConstraint") or "")
    root = f'<LocationConstraint xmlns="{s3_roots.NAMESPACE}">{location}</LocationConstraint>'
    response.headers["Content-Type"] = "application/xml"
    response.body = (XML_DECLARATION + root).encode()
