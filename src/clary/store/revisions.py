"""Counts the writes to the records of each kind, in all processes, for caches that must never be stale."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.store.database import Connection, Database


class Revisions:
    """The table of revisions, read again only when somebody may have written since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = _Seen(None, -1, {}, {})
        self._unique = itertools.count(-1, -1)

    def of(self, kinds: tuple[str, ...]) -> int:
        """A number that grows with every write to these kinds.

        A transaction gets one of its own for each call, unless nobody can have written since the last one.
        """
        mark = self._database.mark()
        seen = self._seen
        if seen.mark != mark:
            if self._database.writing:
                return next(self._unique)
            seen = self._seen = self._look(mark, seen)
        number = seen.sums.get(kinds)
        if number is None:
            number = seen.sums[kinds] = sum(seen.numbers.get(kind, 0) for kind in kinds)
        return number

    def bump(self, connection: Connection, kind: str) -> None:
        """Tells of a write, as part of its transaction."""
        self._database.stale()
        connection.execute(_BUMP, (kind,))

    def _look(self, mark: object, seen: _Seen) -> _Seen:
        """What the table tells now; the mark is older, so that a write in between shows at the next call."""
        total = self._database.read(_TOTAL).fetchone()[0]
        if total == seen.total:
            return seen._replace(mark=mark)
        numbers = dict(self._database.read(_ALL).fetchall())
        return _Seen(mark, sum(numbers.values()), numbers, {})


class _Seen(NamedTuple):
    mark: object
    total: int
    """The sum of the numbers, which grows with each of them."""
    numbers: Mapping[str, int]
    sums: dict[tuple[str, ...], int]
    """Of the kinds that were asked for together."""


_BUMP = """
INSERT INTO revisions (kind, number) VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET number = revisions.number + 1
"""
_TOTAL = "SELECT CAST(coalesce(sum(number), 0) AS BIGINT) FROM revisions"
_ALL = "SELECT kind, number FROM revisions"
