"""The operations of ECR for which requests of container tools stand."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clary.audit.trail import Attempt
from clary.context import Context
from clary.errors import ServiceError
from clary.registry.protocol import Refusal
from clary.store.images import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.platform import Platform
    from clary.registry.protocol import Visit
    from clary.store.database import Database
    from clary.store.layers import Repository


class Operations:
    """Calls operations for visitors, or asks whether they may."""

    def __init__(self, platform: Platform, database: Database) -> None:
        self._platform = platform
        self._database = database

    async def call(self, visit: Visit, operation: str, **members: Any) -> dict[str, Any]:
        """What an operation on the repository answers.

        Raises:
            ServiceError: as it would in the API.
        """
        request = {"repositoryName": visit.place.name, **members} if visit.place.name else members
        with self._audited(visit, operation, request) as attempt:
            assert attempt.ctx is not None  # noqa: S101  # just set
            attempt.answer = answer = (await self._platform.invoke.run(attempt.ctx, request)).members
        return answer

    def allow(self, visit: Visit, operation: str, place: Repository | None = None) -> None:
        """Accepts a request that does with bytes what an operation on the repository would do.

        Raises:
            AccessDenied: the policies do not allow it.
            Refusal: there is no such repository.
        """
        place = place or visit.place
        request = {"repositoryName": place.name}
        with self._audited(visit, operation, request) as attempt:
            assert attempt.ctx is not None  # noqa: S101  # just set
            self._platform.invoke.authorize(attempt.ctx, request)
        if self._platform.records.get(REPOSITORY, *place) is None:
            raise Refusal(
                404, "NAME_UNKNOWN",
                f"The repository with name '{place.name}' does not exist in the registry with id '{place.account}'",
            )  # fmt: skip

    async def sync(self) -> None:
        """Returns once all that was written is on the disk."""
        if self._database.unsynced:
            await asyncio.to_thread(self._database.sync)

    @contextmanager
    def _audited(self, visit: Visit, operation: str, request: Mapping[str, Any]) -> Iterator[Attempt]:
        ctx = self._context(visit, operation)
        attempt = Attempt.over_http(ctx.request_id, ("ecr", operation), ctx.now, visit.http)
        attempt.ctx, attempt.request = ctx, request
        status = 200
        try:
            yield attempt
        except ServiceError as error:
            attempt.error, status = error, error.status
            raise
        finally:
            self._platform.invoke.trail.write(attempt, status)

    def _context(self, visit: Visit, operation: str) -> Context:
        http = visit.http
        return Context(
            request_id=str(uuid.uuid4()),
            account=visit.place.account,
            region=visit.visitor.region,
            principal=visit.visitor.principal,
            service="ecr",
            operation=operation,
            now=self._platform.clock.now(),
            endpoint=f"{http.scheme}://{http.headers.get('host', '')}",
            source_ip=http.client,
            secure=http.scheme == "https",
            user_agent=http.headers.get("user-agent", ""),
        )
