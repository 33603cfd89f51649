"""Errors as each protocol tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.errors import AccessDenied, InternalFailure, ServiceError
from clary.http import Response
from clary.protocol import cbor
from clary.protocol.json_shapes import dumps
from clary.protocol.rest import header_text
from clary.protocol.xml_shapes import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WIRE: Mapping[tuple[type[ServiceError], str], tuple[str, int]] = {
    (AccessDenied, "json"): ("AccessDeniedException", 400),
    (AccessDenied, "smithy-rpc-v2-cbor"): ("AccessDeniedException", 400),
    (AccessDenied, "rest-json"): ("AccessDeniedException", 403),
    (AccessDenied, "ec2"): ("UnauthorizedOperation", 403),
    (InternalFailure, "rest-xml"): ("InternalError", 500),
    (InternalFailure, "ec2"): ("InternalError", 500),
}
"""Code and status of the shared errors where a protocol has its own."""


def serialize_error(  # the gateway may know only some of it when routing itself fails
    protocol: str, service: str, error: ServiceError, request_id: str, operation: str = "", resource: str = ""
) -> Response:
    """The response that tells `error` to a client of `protocol`."""
    shared = AccessDenied if isinstance(error, AccessDenied) else type(error)
    code, status = _WIRE.get((shared, protocol), (error.code, error.status))
    if protocol == "rest-xml":
        return _s3_error(code, status, error, request_id, operation, resource)
    return _WRITERS[protocol](service, code, status, error, request_id)


def _json_error(service: str, code: str, status: int, error: ServiceError, request_id: str) -> Response:
    version = "1.0" if service == "cloudwatch" else "1.1"
    headers = {"x-amzn-RequestId": request_id, "Content-Type": f"application/x-amz-json-{version}"}
    _add_query_code(headers, service, code, status)
    return Response(status, headers, dumps({"__type": code, "message": error.message, **error.members}))


def _cbor_error(service: str, code: str, status: int, error: ServiceError, request_id: str) -> Response:
    headers = {
        "x-amzn-RequestId": request_id,
        "smithy-protocol": "rpc-v2-cbor",
        "Content-Type": "application/cbor",
    }
    _add_query_code(headers, service, code, status)
    return Response(status, headers, cbor.dumps({"__type": code, "message": error.message, **error.members}))


def _rest_json_error(_: str, code: str, status: int, error: ServiceError, request_id: str) -> Response:
    headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": code, "Content-Type": "application/json"}
    return Response(status, headers, dumps({"Message": error.message, **error.members}))


def _query_error(_: str, code: str, status: int, error: ServiceError, request_id: str) -> Response:
    sender = "Sender" if status < 500 else "Receiver"
    body = (
        f"<ErrorResponse><Error><Type>{sender}</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(error.message)}</Message>{_members(error)}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(status, {"x-amzn-RequestId": request_id, "Content-Type": "text/xml"}, body.encode())


def _ec2_error(_: str, code: str, status: int, error: ServiceError, request_id: str) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>"
        f"{_members(error)}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
    return Response(status, {"x-amzn-RequestId": request_id, "Content-Type": "text/xml;charset=UTF-8"}, body.encode())


def _s3_error(  # all of it is in the document
    code: str, status: int, error: ServiceError, request_id: str, operation: str, resource: str
) -> Response:
    headers = {"x-amz-request-id": request_id, "x-amz-id-2": request_id, "Content-Type": "application/xml"}
    headers.update(error.headers)
    if operation.startswith("Head") or status == 304:
        del headers["Content-Type"]
        return Response(status, headers)
    told = f"<Resource>{escape(resource)}</Resource>" if resource else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>{_members(error)}{told}"
        f"<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
    )
    return Response(status, headers, body.encode())


def _members(error: ServiceError) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in error.members.items() if value is not None)


def _add_query_code(headers: dict[str, str], service: str, code: str, status: int) -> None:
    # CloudWatch once spoke the query protocol only; its clients still look here for the code of old.
    if service == "cloudwatch":
        headers["x-amzn-query-error"] = header_text(f"{code};{'Sender' if status < 500 else 'Receiver'}")


_WRITERS: Mapping[str, Callable[[str, str, int, ServiceError, str], Response]] = {
    "json": _json_error,
    "rest-json": _rest_json_error,
    "query": _query_error,
    "ec2": _ec2_error,
    "smithy-rpc-v2-cbor": _cbor_error,
}
