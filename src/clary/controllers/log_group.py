"""Log groups with a retention: events older than that go, an hour late at most."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from clary.platform import Platform
    from clary.store.records import Record

EVERY = timedelta(hours=1)


class LogGroupController:
    """Lets events expire."""

    kind = "log-group"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def step(self, record: Record, now: datetime) -> Record:
        """Removes what is older than the retention, and comes again."""
        days = record.observed.get("retentionInDays")
        if days is None:
            return replace(record, due=None)
        before = now - timedelta(days=days)
        group = f"{record.account}/{record.region}/{record.name}"
        self._platform.logs.expire(group, int(before.timestamp() * 1000))
        return replace(record, due=now + EVERY)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:  # noqa: ARG002  # the contract's shape
        """Expiry is tried again: nothing depends on its moment."""
        return replace(record, due=now + EVERY)
