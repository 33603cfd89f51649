"""Every operation of every served service, there and back against botocore."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from botocore.eventstream import EventStream

from clary.errors import AccessDenied, InternalFailure, ServiceError
from clary.http import BytesBody, Reply
from clary.protocol.model import Models
from clary.protocol.parse import parse
from clary.protocol.route import CBOR, Call, Router
from clary.protocol.serialize import serialize, serialize_error

from .values import Values
from .wire import SERVICES, members_of, request_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import OperationModel

MODELS = Models(SERVICES)
ROUTER = Router(MODELS, "", strict=True)
PAIRS = [(service, protocol) for service in SERVICES for protocol in MODELS.protocols(service)]
APART = {"ListDirectoryBuckets", "WriteGetObjectResponse", "PostObject", "OptionsObject"}
"""S3 operations that clients send to other hosts, or that only browsers send."""


def failures(service: str, check: Callable[[OperationModel], None]) -> list[str]:
    found = []
    for name in MODELS.service(service).operation_names:
        model = MODELS.operation(service, name)
        if model.deprecated or name in APART:
            continue
        try:
            check(model)
        except Exception as error:  # noqa: BLE001  # all failing operations are told at once
            found.append(f"{name}: {type(error).__name__} {str(error)[:1500]}")
    return found


def call_of(model: OperationModel, protocol: str) -> Call:
    service = model.service_model.service_name
    return Call(service, model.name, protocol, model, {}, ROUTER.codecs.codec(service, model.name, protocol))


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_requests_arrive_as_botocore_sends_them(service: str, protocol: str) -> None:
    def check(model: OperationModel) -> None:
        members = Values(model.name).members(model.input_shape)
        http = request_of(model, members, protocol, MODELS.signing_name(service))
        call = asyncio.run(ROUTER.route(http))
        assert (call.service, call.operation, call.protocol) == (service, model.name, protocol)
        received = asyncio.run(parse(call, http))
        members.setdefault("ContentLength", received.get("ContentLength"))  # the client adds it as a header
        assert comparable(received) == comparable(members)

    assert failures(service, check) == []


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_responses_are_read_by_botocore(service: str, protocol: str) -> None:
    def check(model: OperationModel) -> None:
        members = Values(model.name).members(model.output_shape)
        response = serialize(call_of(model, protocol), Reply(members), "the-request-id")
        if model.name == "GetBucketLocation":
            assert members["LocationConstraint"] in str(response.body)  # read by botocore's client, not its parser
            return
        received = members_of(response, protocol, model.output_shape, model.name)
        metadata = received.pop("ResponseMetadata")
        assert metadata.get("RequestId", "the-request-id" if protocol == CBOR else "") == "the-request-id"
        assert comparable(received) == comparable(members)

    assert failures(service, check) == []


class Refused(ServiceError):
    status = 409


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused('not <now> & not "here"'), {"": "Refused"}),
        (AccessDenied("no"), {"json": "AccessDeniedException", "ec2": "UnauthorizedOperation", "": "AccessDenied"}),
        (InternalFailure("oh"), {"rest-xml": "InternalError", "ec2": "InternalError", "": "InternalFailure"}),
    ],
)
def test_errors_are_read_by_botocore(service: str, protocol: str, error: ServiceError, code: dict[str, str]) -> None:
    response = serialize_error(protocol, service, error, "the-request-id", operation="Anything", resource="/a")
    parsed = members_of(response, protocol, None)
    kind = "json" if "json" in protocol or "cbor" in protocol else protocol
    assert parsed["Error"]["Code"] == code.get(kind, code[""])
    assert parsed["Error"]["Message"] == error.message
    assert parsed["ResponseMetadata"]["RequestId"] == "the-request-id"


def comparable(members: dict[str, Any]) -> dict[str, Any]:
    """The members with bodies and event streams as values that compare."""
    return {name: plain(value) for name, value in members.items() if value is not None}


def plain(value: Any) -> Any:
    if isinstance(value, BytesBody):
        value = value.content
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, EventStream):
        return list(value)
    return value
