"""botocore's half of the wire, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from clary.http import BytesBody, Request, Response

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

SERVICES = (
    "sagemaker",
    "sagemaker-runtime",
    "sagemaker-featurestore-runtime",
    "sagemaker-metrics",
    "s3",
    "iam",
    "sts",
    "ec2",
    "logs",
    "cloudwatch",
    "ecr",
    "athena",
    "glue",
    "application-autoscaling",
    "events",
)


def request_of(model: OperationModel, members: dict[str, Any], protocol: str, signing_name: str) -> Request:
    """The request that botocore sends for an operation."""
    serialized = create_serializer(protocol, include_validation=False).serialize_to_request(members, model)
    prepare_request_dict(serialized, "http://127.0.0.1:4100", {})
    sent = create_request_object(serialized).prepare()
    url = urlsplit(sent.url)
    headers = {name.lower(): _text(value) for name, value in sent.headers.items()}
    headers["host"] = url.netloc
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=AK/20240101/us-east-1/{signing_name}/aws4_request, Sig"
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body
    return Request(sent.method, url.path, url.query, headers, BytesBody(body or b""))


def members_of(response: Response, protocol: str, shape: Shape | None, operation: str = "") -> dict[str, Any]:
    """What botocore reads from a response."""
    body: Any = response.body
    if isinstance(body, AsyncIterator):
        body = _RawStream(body)
    parsed = create_parser(protocol).parse(
        {
            "status_code": response.status,
            "headers": HeadersDict(response.headers),
            "body": body,
            "context": {"operation_name": operation},
        },
        shape,
    )
    return dict(parsed)


class _RawStream:
    """The frames of an event stream as botocore reads them from a connection."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self._frames = frames

    def stream(self) -> Iterator[bytes]:
        while True:
            step = anext(self._frames, None).__await__()
            try:
                next(step)
            except StopIteration as done:
                if done.value is None:
                    return
                yield done.value

    def close(self) -> None:
        """Nothing to close."""


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
