from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from clary.http import BytesBody, Reply, Request, Response
from clary.protocol.model import Models
from clary.protocol.parse import parse
from clary.protocol.route import Call, Router
from clary.protocol.serialize import serialize

from .wire import SERVICES

if TYPE_CHECKING:
    from clary.http import Body


class Wire(NamedTuple):
    """The wire layer as the gateway uses it, without an event loop to care for."""

    models: Models
    router: Router

    def route(self, http: Request) -> Call:
        return asyncio.run(self.router.route(http))

    def parse(self, http: Request) -> dict[str, Any]:
        return asyncio.run(self._parse(http))

    def answer(self, http: Request, members: dict[str, Any]) -> Response:
        return serialize(self.route(http), Reply(members), "the-request-id")

    async def _parse(self, http: Request) -> dict[str, Any]:
        return await parse(await self.router.route(http), http)


@pytest.fixture(scope="session")
def wire() -> Wire:
    models = Models(SERVICES)
    return Wire(models, Router(models, "s3.test", strict=True))


def signed(service: str) -> dict[str, str]:
    return {"authorization": f"AWS4-HMAC-SHA256 Credential=AK/20240101/us-east-1/{service}/aws4_request, Signature=x"}


def json_request(target: str, body: bytes) -> Request:
    return Request("POST", "/", "", {"x-amz-target": target}, BytesBody(body))


def form_request(service: str, body: bytes) -> Request:
    headers = {**signed(service), "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return Request("POST", "/", "", headers, BytesBody(body))


def s3_request(method: str, path: str, query: str = "", body: Body | None = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query, {**signed("s3"), **named}, body or BytesBody(b""))
