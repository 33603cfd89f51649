"""What happened to objects and is yet to be told: one row for each event and each who is to hear of it.

A row is written in the transaction of the change that it tells of, so that neither comes without the other, and goes
once it was heard: every event is told at least once, and those of one key in the order in which they happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clary.store.database import Database


class Pending(NamedTuple):
    """An event that its target has not heard yet."""

    id: int
    bucket: str
    target: str
    key: str
    event: dict[str, Any]
    at: float
    attempts: int
    due: float


class Events:
    """The table of events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, place: tuple[str, str, str], event: Mapping[str, Any], at: float) -> None:
        """Adds an event for a `place`, which is bucket, target and key; part of the transaction of this thread."""
        with self._database.write() as connection:
            connection.execute(_ADD, (*place, orjson.dumps(event).decode(), at, at))

    def targets(self, bucket: str, prefix: str) -> list[str]:
        """Those that are yet to be told of something, of all whose names begin so."""
        rows = self._database.read(_TARGETS, (bucket, len(prefix), prefix)).fetchall()
        return [row[0] for row in rows]

    def pending(self, bucket: str, target: str, limit: int) -> list[Pending]:
        """The first events that a target has not heard, in order."""
        rows = self._database.read(_PENDING, (bucket, target, limit)).fetchall()
        return [Pending(row[0], row[1], row[2], row[3], orjson.loads(row[4]), row[5], row[6], row[7]) for row in rows]

    def limit(self, bucket: str, target: str, since: float, most: int) -> int:
        """Forgets what is too old for a target, and the earliest of what is too much; tells how many those were."""
        with self._database.write() as connection:
            old = connection.execute(_EXPIRE, (bucket, target, since)).rowcount
            return int(old + connection.execute(_TRIM, (bucket, target, bucket, target, most)).rowcount)

    def done(self, events: Iterable[Pending]) -> None:
        """Forgets events: they were heard, or never will be; those that are gone already are no error."""
        with self._database.write() as connection:
            for each in events:
                # The id of a row that is gone may be given to another one.
                connection.execute(_DONE, (each.id, each.bucket, each.target, each.key, each.at))

    def again(self, event: Pending, due: float) -> None:
        """Puts an attempt that failed off until `due`."""
        with self._database.write() as connection:
            connection.execute(_AGAIN, (due, event.id))


_ADD = "INSERT INTO object_events (bucket, target, key, event, at, attempts, due) VALUES (?, ?, ?, ?, ?, 0, ?)"
_TARGETS = "SELECT DISTINCT target FROM object_events WHERE bucket = ? AND substr(target, 1, ?) = ? ORDER BY target"
_PENDING = """
SELECT id, bucket, target, key, event, at, attempts, due FROM object_events
WHERE bucket = ? AND target = ? ORDER BY id LIMIT ?
"""
_DONE = "DELETE FROM object_events WHERE id = ? AND bucket = ? AND target = ? AND key = ? AND at = ?"
_EXPIRE = "DELETE FROM object_events WHERE bucket = ? AND target = ? AND at < ?"
_TRIM = """
DELETE FROM object_events WHERE bucket = ? AND target = ?
AND id <= (SELECT id FROM object_events WHERE bucket = ? AND target = ? ORDER BY id DESC LIMIT 1 OFFSET ?)
"""
_AGAIN = "UPDATE object_events SET attempts = attempts + 1, due = ? WHERE id = ?"
