"""A platform in the process of the tests, whose clients need no socket."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from clary.app import build
from clary.clock import SystemClock
from clary.http import BytesBody, Request, Response
from clary.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import botocore.session

    from clary.store.records import Records

ENDPOINT = "http://127.0.0.1:4100"
_LATER_MS = 1 << 60
"""After every event, those of moved clocks too."""


class MovedClock(SystemClock):
    """The clock of this machine, moved by a test; botocore signs by the real one."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> Any:
        return super().now() + self.shift


class Cloud:
    """A platform in this process; its clients are botocore's, which hand their requests over without a socket."""

    def __init__(self, home: Path, session: botocore.session.Session, **settings: Any) -> None:
        self.home = home
        self.clock = MovedClock()
        chosen: dict[str, Any] = {"account": "123456789012", "durability": "process", **settings}
        self.parts = build(Settings(home=home, **chosen), self.clock)
        self._runner = asyncio.Runner()
        self._pool = ThreadPoolExecutor(2)
        self._session = session
        self.parts.platform.invoke.attach(self.parts.platform, self._runner.get_loop(), self._pool)
        self.root: dict[str, Any] = {}

    def empty(self) -> None:
        """Forgets everything but what was compiled from the models."""
        refuse_spoilt(self.parts.platform.records)
        self.parts.platform.records.clear()
        with self.parts.database.write() as connection:
            for table in ("objects", "contents", "uploads", "parts", "object_events"):
                connection.execute(f"DELETE FROM {table}")
        self.parts.platform.audit.catch_up()
        self.parts.platform.audit.expire(_LATER_MS)
        self.clock.shift = timedelta()
        root = self.parts.platform.credentials.bootstrap()
        assert root is not None
        self.root = {"aws_access_key_id": root["AccessKeyId"], "aws_secret_access_key": root["SecretAccessKey"]}

    def client(self, service: str, credentials: dict[str, Any] | None = None) -> Any:
        """A client for root, or for the holder of `credentials` as IAM or STS returned them."""
        keys = self.root
        if credentials is not None:
            keys = {
                "aws_access_key_id": credentials["AccessKeyId"],
                "aws_secret_access_key": credentials["SecretAccessKey"],
                "aws_session_token": credentials.get("SessionToken"),
            }
        client = self._session.create_client(service, "eu-west-1", endpoint_url=ENDPOINT, **keys)
        client.meta.events.register("before-send", self._send)
        return client

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Response, bytes]:
        """The answer to a request of any other client, and its body."""
        parts = urlsplit(url)
        http = Request(method, parts.path or "/", parts.query, dict(headers), BytesBody(body))
        response = self._runner.run(self.parts.gateway.handle(http))
        return response, self._runner.run(_joined(response))

    def in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Runs what calls operations from a thread, as controllers do, while the event loop serves it."""

        async def wait() -> Any:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

        return self._runner.run(wait())

    def close(self) -> None:
        self._pool.shutdown()
        self._runner.close()
        self.parts.platform.objects.close()
        self.parts.database.close()

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        parts = urlsplit(request.url)
        headers = {
            name.lower(): str(value, "latin-1") if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        body = request.body or b""
        http = Request(
            request.method,
            parts.path or "/",
            parts.query,
            {**headers, "host": parts.netloc},
            BytesBody(body.encode() if isinstance(body, str) else _read(body)),
        )
        response = self._runner.run(self.parts.gateway.handle(http))
        return AWSResponse(request.url, response.status, response.headers, _Raw(self._runner.run(_joined(response))))


def refuse_spoilt(records: Records) -> None:
    """Fails when somebody has changed a record that all who recall it share."""
    for arn, (revision, known) in records._known.items():
        if known is not None and revision == records.revision(known.kind):
            stored = records.by_arn(arn)
            assert stored is not None
            assert (known.spec, known.observed, known.tags) == (stored.spec, stored.observed, stored.tags)


async def _joined(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


def _read(body: Any) -> bytes:
    """Bodies with a checksum behind them are made while they are read."""
    content: bytes = body.read() if hasattr(body, "read") else body
    return content


class _Raw(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()
