"""Counts the writes to the records of each kind, in all processes, for caches that must never be stale."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.store.database import Connection, Database

Key = TypeVar("Key")
Value = TypeVar("Value")


class Revisions:
    """The table of revisions, read again only when somebody may have written since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self._unique = itertools.count(-1, -1)

    def of(self, kinds: Sequence[str]) -> int:
        """A number that grows with every write to these kinds; one of its own for each call inside a transaction."""
        if self._database.writing:
            return next(self._unique)
        numbers = self._current()
        return sum([numbers.get(kind, 0) for kind in kinds])

    def bump(self, connection: Connection, kind: str) -> None:
        """Tells of a write, as part of its transaction."""
        connection.execute(_BUMP, (kind,))
        # What the other connections of this process write shows in their marks, what this one writes does not.
        self._local.mark = None

    def _current(self) -> dict[str, int]:
        local = self._local
        mark = self._database.mark()
        if getattr(local, "mark", None) != mark:
            total = self._database.read(_TOTAL).fetchone()[0]
            if getattr(local, "total", None) != total:
                local.numbers = dict(self._database.read(_ALL).fetchall())
                local.total = sum(local.numbers.values())
            # The mark is older than what was read, so that a write in between shows at the next call.
            local.mark = mark
        numbers: dict[str, int] = local.numbers
        return numbers


_BUMP = """
INSERT INTO revisions (kind, number) VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET number = revisions.number + 1
"""
_TOTAL = "SELECT CAST(coalesce(sum(number), 0) AS BIGINT) FROM revisions"
_ALL = "SELECT kind, number FROM revisions"
