"""HTTP in, HTTP out: the seven stages of a request."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from clary.audit.trail import Attempt
from clary.auth.sigv4 import UNSIGNED
from clary.bucket_host import WEBSITE_PREFIX, bucket_host
from clary.context import Context
from clary.errors import InternalFailure, ServiceError
from clary.http import BytesBody, ClientGone, Request, Response, Stored, begun, read
from clary.protocol.parse import parse
from clary.protocol.route import RoutingError
from clary.protocol.serialize import serialize, serialize_error
from clary.protocol.stream import AwsChunkedBody
from clary.store.faults import fault
from clary.store.flushes import Flushes

if TYPE_CHECKING:
    from clary.auth.sigv4 import Authenticator, Signature
    from clary.clock import Clock
    from clary.invoke import Invoker
    from clary.protocol.model import Models
    from clary.protocol.route import Call, Router
    from clary.settings import Settings
    from clary.store.database import Database

BODY_LIMIT_BYTES = 32 << 20
"""Largest body of anything but an S3 upload; InvokeEndpoint allows 6 MB on AWS, asynchronous ones come through S3."""

READ_ONLY = ("Get", "Describe", "List", "Head", "Invoke", "Search", "Filter", "BatchGet")
"""Operations that begin so write nothing that a caller relies on, and so need not wait for the disk."""

Page = Callable[[Request], Awaitable[Response]]
Headers = Callable[[Request, Mapping[str, str]], Mapping[str, str]]
Observer = Callable[[Request, Mapping[str, str], Attempt, Response], None]
"""Takes a request and what its path names; tells headers that belong to the answer, whatever it is."""

log = logging.getLogger(__name__)


class Gateway:
    """Answers HTTP requests: AWS calls by way of `invoke`, and the platform's own pages by path prefix."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        database: Database,
        wire: tuple[Models, Router],
        who: Authenticator,
        invoke: Invoker,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database
        self._models, self._router = wire
        self._authenticator = who
        self._invoke = invoke
        self._pages: dict[str, Page] = {}
        self._prefixes: tuple[str, ...] = ()
        self._headers: dict[str, Headers] = {}
        self._observers: dict[str, Observer] = {}
        self._flushes = Flushes(database)

    def add_page(self, prefix: str, page: Page) -> None:
        """Serves every path that begins with `prefix` from `page` rather than as an AWS call."""
        self._pages[prefix] = page
        self._prefixes = tuple(self._pages)

    def add_headers(self, service: str, headers: Headers) -> None:
        """Has `headers` add to every answer of a service."""
        self._headers[service] = headers

    def observe(self, service: str, observer: Observer) -> None:
        """Shows every answer of a service to `observer`."""
        self._observers[service] = observer

    async def handle(self, http: Request) -> Response:
        """The response to one request; raises ClientGone only."""
        page = self._page(http)
        if page is not None:
            return await page(http)
        request_id = _new_id()
        try:
            call = await self._router.route(http)  # 1
        except RoutingError as error:
            response = serialize_error(error.protocol, error.service, error, request_id)
            attempt = Attempt.over_http(request_id, (error.service, ""), self._clock.now(), http)
            attempt.error = error
        else:
            attempt = Attempt.over_http(request_id, (call.service, call.operation), self._clock.now(), http)
            response = await self._serve(http, call, attempt)
            if beside := self._headers.get(call.service):
                response.headers.update(beside(http, call.parameters))
            if observer := self._observers.get(call.service):
                observer(http, call.parameters, attempt, response)
        self._invoke.trail.write(attempt, response.status)
        return response

    async def _serve(self, http: Request, call: Call, attempt: Attempt) -> Response:
        """The answer to a call, or the error that it ends with."""
        try:
            return await self._answer(http, call, attempt)
        except ServiceError as error:
            attempt.error = error
        except ClientGone:
            attempt.gone = True
            self._invoke.trail.write(attempt, 0)
            raise
        except Exception as error:  # a fault of ours must reach the caller as an answer, never as a hang
            attempt.error = fault(error) or InternalFailure(_INTERNAL)
            if isinstance(attempt.error, InternalFailure):
                log.exception("%s %s failed, request id %s", call.service, call.operation, attempt.id)
            else:
                log.warning("%s %s failed, request id %s: %s", call.service, call.operation, attempt.id, error)
        return self._refuse(call, attempt.error, attempt.id, http.path)

    async def _answer(self, http: Request, call: Call, attempt: Attempt) -> Response:
        if call.service != "s3":
            http.body = BytesBody(await read(http.body, BODY_LIMIT_BYTES))
        signature = self._authenticate(http, call)  # 2
        attempt.ctx = ctx = self._context(http, call, signature, attempt)
        attempt.request = request = await parse(call, http)  # 3
        written = self._database.written
        reply = await self._invoke.run(ctx, request)  # 4 5 6
        attempt.answer = reply.members
        if self._database.written != written and not call.operation.startswith(READ_ONLY):
            await self._flushes.done()
        response = serialize(call, reply, attempt.id)  # 7
        if isinstance(response.body, Stored):
            response.body = await begun(response.body)
        return response

    def _authenticate(self, http: Request, call: Call) -> Signature:
        is_s3 = call.service == "s3"
        if call.model.auth_type == "none" and "authorization" not in http.headers:
            return UNSIGNED
        signature = self._authenticator.authenticate(http, self._models.signing_name(call.service), is_s3)
        if is_s3 and http.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            length = http.headers.get("x-amz-decoded-content-length", "")
            verify_chunk, verify_trailer = signature.verifiers or (None, None)
            decoded_bytes = int(length) if length.isdigit() else None
            http.body = AwsChunkedBody(http.body, verify_chunk, verify_trailer, decoded_bytes)
        return signature

    def _context(self, http: Request, call: Call, signature: Signature, attempt: Attempt) -> Context:
        return Context(
            request_id=attempt.id,
            account=signature.principal.account or self._settings.account,
            region=signature.region or self._settings.region,
            principal=signature.principal,
            service=call.service,
            operation=call.operation,
            now=attempt.now,
            endpoint=f"{http.scheme}://{http.headers.get('host', '')}",
            source_ip=http.client,
            secure=http.scheme == "https",
            user_agent=http.headers.get("user-agent", ""),
            referer=http.headers.get("referer", ""),
            signed=signature.keys,
        )

    def _refuse(self, call: Call, error: ServiceError, request_id: str, path: str) -> Response:
        return serialize_error(call.protocol, call.service, error, request_id, operation=call.operation, resource=path)

    def _page(self, http: Request) -> Page | None:
        host = http.headers.get("host", "")
        if ".s3-website" in host and bucket_host(host, self._settings.s3_domain).website:
            return self._pages.get(WEBSITE_PREFIX)
        # The objects of a bucket that is the host may have whatever names.
        if http.path.startswith(self._prefixes) and not bucket_host(host, self._settings.s3_domain).bucket:
            return next(page for prefix, page in self._pages.items() if http.path.startswith(prefix))
        return None


def _new_id() -> str:
    """A random UUID (RFC 9562, version 4), in a third of the time that `uuid.uuid4` takes."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


_INTERNAL = "An internal error occurred; the log of the platform tells more under this request id."
