"""The narrow waist: authorise, validate, handle. Everything that asks the platform for something goes through here."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from clary.audit.trail import INTERNAL, Attempt
from clary.auth import messages
from clary.auth.authorize import Refused
from clary.errors import NotSupported, ServiceError
from clary.services.service import Check, Document, Handler, Reply, Service, method_name, runs_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from clary.audit.trail import Trail
    from clary.auth.authorize import Authorizer
    from clary.context import Context
    from clary.platform import Platform
    from clary.protocol.model import Models
    from clary.protocol.validate import Validators


_ANSWERS = (Reply, dict)


class Invoker:
    """Calls operations by service and name, on behalf of a principal.

    Handlers belong to the event loop; `attach` names it. Threads use `call`, coroutines `act`, and the gateway, which
    writes to the `trail` by itself, `run`.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        models: Models,
        validators: Validators,
        authorizer: Authorizer,
        trail: Trail,
    ) -> None:
        self._services = services
        self._models = models
        self._validators = validators
        self._authorizer = authorizer
        self.trail = trail
        self._handlers: dict[tuple[str, str], Handler] = {}

    def attach(self, platform: Platform, loop: asyncio.AbstractEventLoop, pool: Executor) -> None:
        """Builds the services' handlers; called once, before the first request."""
        self._platform = platform
        self._loop = loop
        self._pool = pool
        for service in self._services.values():
            for method, handler in service.handlers(platform).items():
                self._handlers[service.name, method] = handler

    async def run(self, ctx: Context, request: Document) -> Reply:
        """The answer of one operation; whoever received the call writes it to the audit log.

        Raises:
            ServiceError: it is not allowed, not valid, not there, or refused by the handler.
        """
        handler = self.handler(ctx.service, ctx.operation)
        self.authorize(ctx, request)
        self._validators.validate(self._models.operation(ctx.service, ctx.operation), request)
        if runs_in_thread(handler):
            result: Any = await self._loop.run_in_executor(self._pool, handler, ctx, request)
        else:
            result = handler(ctx, request)
            if not isinstance(result, _ANSWERS) and inspect.isawaitable(result):
                result = await result
        return result if isinstance(result, Reply) else Reply(result or {})

    async def act(self, ctx: Context, request: Document) -> Reply:
        """The same for a call that the platform makes by itself; it is in the audit log when it is answered."""
        attempt = Attempt(ctx.request_id, ctx.service, ctx.operation, ctx.now, ctx.via or INTERNAL, ctx.via or INTERNAL)
        attempt.ctx, attempt.request = ctx, request
        status = 500
        try:
            reply = await self.run(ctx, request)
            attempt.answer, status = reply.members, reply.status or 200
        except ServiceError as error:
            attempt.error, status = error, error.status
            raise
        finally:
            self.trail.write(attempt, status)
        return reply

    def call(self, ctx: Context, request: Document) -> Document:
        """The same from another thread than the event loop's; blocks until the answer is there."""
        return asyncio.run_coroutine_threadsafe(self.act(ctx, request), self._loop).result().members

    def call_each(self, calls: Sequence[tuple[Context, Document]]) -> list[Document | ServiceError]:
        """The answers of many calls, or why there is none; the event loop serves others between them."""

        async def act() -> list[Document | ServiceError]:
            answers: list[Document | ServiceError] = []
            for ctx, request in calls:
                try:
                    answers.append((await self.act(ctx, request)).members)
                except ServiceError as error:
                    answers.append(error)
                await asyncio.sleep(0)
            return answers

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result()

    def on_loop(self, action: Callable[[], None]) -> None:
        """Runs a short action on the event loop, for what belongs to it alone; blocks until it is done."""

        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result()

    def authorize(self, ctx: Context, request: Document) -> None:
        """Checks that the principal may do this, without doing it.

        Raises:
            AccessDenied: a policy denies it or none allows it.
        """
        try:
            self._authorizer.authorize(ctx, self._checks(ctx, request))
        except Refused as refused:
            if ctx.service == "ec2":
                refused.message += messages.told(self._platform.keyring, ctx.principal, refused.rulings[-1])
            raise

    def handler(self, service: str, operation: str) -> Handler:
        """The method behind an operation.

        Raises:
            NotSupported: AWS has the operation, Clary has not.
        """
        try:
            return self._handlers[service, method_name(operation)]
        except KeyError:
            raise NotSupported(f"Clary does not support the operation {operation} of {service} yet.") from None

    def operations(self) -> list[tuple[str, str]]:
        """Every (service, boto3 method) that has a handler."""
        return sorted(self._handlers)

    def _checks(self, ctx: Context, request: Document) -> list[Check]:
        access = self._services[ctx.service].access
        if access is None:
            return [Check(f"{self._models.signing_name(ctx.service)}:{ctx.operation}")]
        return list(access(self._platform, ctx, request))
