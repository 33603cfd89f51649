"""Answers the first Describe of a job late, for the one client that sleeps longer than its jobs take.

The SageMaker SDK v2 asks 5 s after it created a job and then only every 30 s, so a job of 6 s makes `fit()` return
after 45 s. Holding that first question open until the job ends makes it return at once. Other clients, and questions
at other times, are answered at once; `long_poll_s = 0` switches it off.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from .kinds import Family, Kind, find

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from clary.context import Context
    from clary.services.service import Document, Handler

USER_AGENT = re.compile(r"AWS-SageMaker-Python-SDK[#/]2\.")
FIRST_QUESTION_S = (4.0, 12.0)
"""The age of a job at which that SDK asks for the first time: its sleep of 5 s, give or take a slow machine."""

LOOK_S = 0.05
RUNNING = ("InProgress", "Stopping")


def held(kind: Kind, handler: Handler) -> Handler:
    """A Describe handler that waits for the end of the job when that SDK asks for the first time."""

    async def wait(self: Family, ctx: Context, request: Document) -> Document:
        settings, records = self._platform.settings, self._platform.records
        record = find(self._platform, ctx, kind, request[kind.name_member])
        age = (ctx.now - record.created).total_seconds()
        if USER_AGENT.search(ctx.user_agent) and FIRST_QUESTION_S[0] <= age <= FIRST_QUESTION_S[1]:
            seen = -1
            for _ in range(int(settings.long_poll_s / LOOK_S)):
                revision = records.revision(kind.name)
                if revision != seen:
                    seen = revision
                    if find(self._platform, ctx, kind, record.name).status not in RUNNING:
                        break
                await asyncio.sleep(LOOK_S)
        describe: Callable[[Family, Context, Document], Document] = handler  # type: ignore[assignment]  # a method
        return describe(self, ctx, request)

    waiting: Callable[[Family, Context, Document], Awaitable[Document]] = wait
    waiting.__doc__ = handler.__doc__
    return waiting  # type: ignore[return-value]  # becomes a method of the family
