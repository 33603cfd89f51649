"""Log groups' streams and events, as CloudWatch Logs keeps them.

A group is addressed as `account/region/name`. The text of workloads is taken over from their log files together with
the position reached, in one transaction, so that a crash neither loses nor doubles a line.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clary.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Event:
    """One line; times in milliseconds since 1970, `id` orders lines of the same time."""

    time: int
    id: int
    ingested: int
    message: str
    stream: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is known of a stream; times in milliseconds since 1970."""

    name: str
    created: int
    first_event: int | None
    last_event: int | None
    ingested: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """Which events of a stream to read: `start` is included, `end` is not, `after` is a (time, id) already seen."""

    start: int = 0
    end: int = 1 << 62
    after: tuple[int, int] | None = None
    before: tuple[int, int] | None = None
    from_head: bool = True
    limit: int = 10_000


class Logs:
    """The streams of all log groups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_stream(self, group: str, name: str, now_ms: int) -> bool:
        """Makes a stream; False when it was there already."""
        with self._database.write() as connection:
            return connection.execute(_CREATE, (group, name, now_ms)).rowcount == 1

    def has_stream(self, group: str, name: str) -> bool:
        """Whether the stream is there."""
        return (
            self._database.read("SELECT 1 FROM log_streams WHERE log_group = ? AND name = ?", (group, name)).fetchone()
            is not None
        )

    def append(self, group: str, stream: str, events: Iterable[tuple[int, str]], now_ms: int) -> None:
        """Adds (time, message) pairs to a stream, which is made when it is not there."""
        with self._database.write() as connection:
            self._append(connection, group, stream, list(events), now_ms)

    def position(self, group: str, stream: str) -> int:
        """How many bytes of the workload's log file the stream holds."""
        row = self._database.read(
            "SELECT position FROM log_streams WHERE log_group = ? AND name = ?", (group, stream)
        ).fetchone()
        return int(row[0]) if row else 0

    def take_over(self, group: str, stream: str, events: Sequence[tuple[int, str]], position: int) -> None:
        """Adds lines of a workload's log file together with the position reached in it."""
        with self._database.write() as connection:
            self._append(connection, group, stream, events, events[-1][0] if events else 0)
            connection.execute(
                "UPDATE log_streams SET position = ? WHERE log_group = ? AND name = ?", (position, group, stream)
            )

    def streams(self, group: str, prefix: str = "", *, by_time: bool = False, descending: bool = False) -> list[Stream]:
        """The streams whose names begin with `prefix`, by name or by time of the last event."""
        order = "coalesce(last_event, 0)" if by_time else "name"
        rows = self._database.read(
            "SELECT name, created, first_event, last_event, ingested FROM log_streams "  # noqa: S608  # constants
            f"WHERE log_group = ? AND substr(name, 1, ?) = ? ORDER BY {order} {'DESC' if descending else 'ASC'}",
            (group, len(prefix), prefix),
        )
        return [Stream(*row) for row in rows]

    def events(self, group: str, stream: str, window: Window) -> list[Event]:
        """The events of one stream in the order of time; `from_head=False` takes the last ones."""
        direction = "ASC" if window.from_head else "DESC"
        conditions = "time >= ? AND time < ?"
        parameters: list[object] = [group, stream, window.start, window.end]
        if window.after is not None:
            conditions += " AND (time, id) > (?, ?)"
            parameters.extend(window.after)
        if window.before is not None:
            conditions += " AND (time, id) < (?, ?)"
            parameters.extend(window.before)
        rows = self._database.read(
            "SELECT time, id, ingested, message FROM log_events "  # noqa: S608  # constants
            f"WHERE stream = (SELECT id FROM log_streams WHERE log_group = ? AND name = ?) AND {conditions} "
            f"ORDER BY time {direction}, id {direction} LIMIT ?",
            (*parameters, window.limit),
        ).fetchall()
        return [Event(row[0], row[1], row[2], row[3], stream) for row in (rows if window.from_head else reversed(rows))]

    def merged(
        self, group: str, streams: Sequence[str], window: Window, after: tuple[int, str, int] | None
    ) -> Iterator[Event]:
        """The events of several streams in the order of time, stream and number, read bit by bit.

        `after` is the time, stream and number of the event after which to begin.
        """
        walks = (self._walk(group, name, _from(window, name, after)) for name in streams)
        return heapq.merge(*walks, key=lambda event: (event.time, event.stream, event.id))

    def _walk(self, group: str, stream: str, window: Window) -> Iterator[Event]:
        while events := self.events(group, stream, replace(window, limit=WALK_EVENTS)):
            yield from events
            window = replace(window, after=(events[-1].time, events[-1].id))

    def delete_stream(self, group: str, name: str) -> bool:
        """Removes a stream with its events; False when there is none."""
        with self._database.write() as connection:
            row = connection.execute(
                "DELETE FROM log_streams WHERE log_group = ? AND name = ? RETURNING id", (group, name)
            ).fetchone()
            if row:
                connection.execute("DELETE FROM log_events WHERE stream = ?", row)
            return row is not None

    def delete_group(self, group: str) -> None:
        """Removes every stream of a group."""
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM log_events WHERE stream IN (SELECT id FROM log_streams WHERE log_group = ?)", (group,)
            )
            connection.execute("DELETE FROM log_streams WHERE log_group = ?", (group,))

    def expire(self, group: str, before_ms: int) -> None:
        """Removes events older than the retention of a group allows."""
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM log_events WHERE stream IN (SELECT id FROM log_streams WHERE log_group = ?) AND time < ?",
                (group, before_ms),
            )

    def _append(
        self, connection: Connection, group: str, stream: str, events: Sequence[tuple[int, str]], now_ms: int
    ) -> None:
        connection.execute(_CREATE, (group, stream, events[0][0] if events else now_ms))
        if not events:
            return
        number = connection.execute(
            "SELECT id FROM log_streams WHERE log_group = ? AND name = ?", (group, stream)
        ).fetchone()[0]
        first = (
            connection.execute("SELECT coalesce(max(id), 0) FROM log_events WHERE stream = ?", (number,)).fetchone()[0]
            + 1
        )
        first_time, last_time = min(time for time, _ in events), max(time for time, _ in events)
        connection.executemany(
            "INSERT INTO log_events (stream, time, id, ingested, message) VALUES (?, ?, ?, ?, ?)",
            [
                (number, time, first + offset, now_ms, message.replace("\0", REPLACEMENT))
                for offset, (time, message) in enumerate(events)
            ],
        )
        connection.execute(
            "UPDATE log_streams SET first_event = min(coalesce(first_event, ?), ?), "
            "last_event = max(coalesce(last_event, ?), ?), ingested = ? WHERE id = ?",
            (first_time, first_time, last_time, last_time, now_ms, number),
        )


def _from(window: Window, stream: str, after: tuple[int, str, int] | None) -> Window:
    """What is left of a window in a stream when the merged events were read up to `after`."""
    if after is None:
        return window
    time, name, number = after
    if stream == name:
        return replace(window, after=(time, number))
    return replace(window, start=max(window.start, time if stream > name else time + 1))


REPLACEMENT = "\ufffd"
"""Stands for a NUL, which PostgreSQL keeps in no text; workloads may write anything."""

WALK_EVENTS = 1000
"""How many events of a stream are read at once when several are merged."""

_CREATE = "INSERT INTO log_streams (log_group, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
