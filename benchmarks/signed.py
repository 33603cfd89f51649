"""Requests signed ahead of time, as the bytes that go over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.client import Address

REGION = "us-east-1"


class _UnsignedBody(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    def payload(self, _: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Signer:
    """Signs for one server with one access key; signatures hold for 15 minutes."""

    address: Address
    access_key: str
    secret: str

    def json(self, target: str, body: bytes) -> bytes:
        """A call in the protocol that SageMaker speaks."""
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        return self.request("sagemaker", "POST", "/", headers, body)

    def form(self, service: str, body: bytes) -> bytes:
        """A call in the protocol that IAM and STS speak."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return self.request(service, "POST", "/", headers, body)

    def s3(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """A call of S3 whose body is not signed, as clients send it that trust their connection."""
        return self._request(_UnsignedBody, method, path, headers, body)

    def request(
        self, service: str, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """The request line, the headers with the signature, and the body."""
        return self._request(S3SigV4Auth if service == "s3" else SigV4Auth, method, path, headers, body, service)

    def _request(
        self,
        kind: type[SigV4Auth],
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        body: bytes,
        service: str = "s3",
    ) -> bytes:
        host = f"{self.address[0]}:{self.address[1]}"
        signed = AWSRequest(method, f"http://{host}{path}", {"Host": host, **(headers or {})}, body)
        kind(Credentials(self.access_key, self.secret), service, REGION).add_auth(signed)
        if body or method in {"POST", "PUT"}:
            signed.headers["Content-Length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body
