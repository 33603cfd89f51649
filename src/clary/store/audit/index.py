"""The index of the audit log: a database of its own, made from the segments and lost without harm."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from clary.store.audit import segments
from clary.store.audit.event import Event
from clary.store.audit.resources import resource_name, resource_type
from clary.store.audit.search import Page, Search, conditions
from clary.store.database import DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from clary.store.audit.segments import Line
    from clary.store.database import Connection, Rows

BATCH_LINES = 2000
REST_S = 0.5
"""How long the reading of a batch, which takes about a tenth of this, is followed by nothing."""
USES_MS = 310 * 86_400_000
"""The last use of an action is remembered so much longer than its event: with 90 days, for the 400 that AWS tells."""

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS audit_events (
        id         TEXT PRIMARY KEY,
        time       BIGINT NOT NULL,    -- milliseconds since 1970
        account    TEXT NOT NULL,
        source     TEXT NOT NULL,      -- s3.amazonaws.com
        operation  TEXT NOT NULL,
        entity     TEXT NOT NULL,      -- the ARN of the user, or of the role of a session
        username   TEXT NOT NULL,
        access_key TEXT NOT NULL,
        code       TEXT NOT NULL,      -- of the error; empty when it succeeded
        read_only  INTEGER NOT NULL,
        management INTEGER NOT NULL,
        resource   TEXT NOT NULL,      -- the first ARN; management events have all of them in a table
        event      TEXT NOT NULL       -- JSON
    )
    """,
    "CREATE INDEX IF NOT EXISTS audit_events_by_time ON audit_events (time, id)",
    "CREATE INDEX IF NOT EXISTS audit_events_by_entity ON audit_events (entity, time)",
    "CREATE INDEX IF NOT EXISTS audit_management_events ON audit_events (time, id) WHERE management = 1",
    """
    CREATE TABLE IF NOT EXISTS audit_resources (
        name TEXT NOT NULL,            -- an ARN, or the name in it
        type TEXT NOT NULL,
        id   TEXT NOT NULL,
        PRIMARY KEY (name, id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS audit_resources_by_event ON audit_resources (id)",
    """
    CREATE TABLE IF NOT EXISTS audit_use (  -- when each user or role last used an action
        entity  TEXT NOT NULL,
        action  TEXT NOT NULL,
        time    BIGINT NOT NULL,
        region  TEXT NOT NULL,
        PRIMARY KEY (entity, action)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS audit_segments (
        name     TEXT PRIMARY KEY,
        position BIGINT NOT NULL,      -- up to where it was read
        chain    TEXT NOT NULL         -- the hash that stood there
    )
    """,
)

log = logging.getLogger(__name__)


class Store(Protocol):
    """A database as the index needs it."""

    def read(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """Runs a statement that changes nothing."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction."""
        ...


class Index:
    """Finds events; reads what was appended to the segments before it answers."""

    def __init__(self, store: Store, folder: Path, close: Callable[[], None] = lambda: None) -> None:
        self.close = close
        self._store = store
        self.folder = folder
        self._lock = threading.Lock()
        self._asked = threading.Event()
        with store.write() as connection:
            for statement in SCHEMA:
                connection.execute(statement)

    def search(self, search: Search) -> Page:
        """The newest events that fit."""
        self._freshen()
        where, values = conditions(search)
        rows = self._store.read(
            f"SELECT event, time, id FROM audit_events WHERE {where} ORDER BY time DESC, id DESC LIMIT ?",  # noqa: S608  # constants
            (*values, search.limit + 1),
        ).fetchall()
        found = rows[: search.limit]
        following = (found[-1][1], found[-1][2]) if len(rows) > search.limit else None
        return Page([Event.of(row[0]) for row in found], following)

    def all(self, search: Search) -> Iterator[Event]:
        """Every event that fits, newest first, read bit by bit."""
        following = search.after
        while True:
            page = self.search(Search(**{**_members(search), "after": following, "limit": BATCH_LINES}))
            yield from page.events
            following = page.next
            if following is None:
                return

    def get(self, identifier: str) -> Event | None:
        """The event of a request, or None."""
        return next(iter(self.search(Search(id=identifier, limit=1)).events), None)

    def uses(self, entity: str) -> list[tuple[str, int, str]]:
        """Each action that a user or role ever asked for: action, last time in milliseconds, region."""
        self._freshen()
        sql = "SELECT action, time, region FROM audit_use WHERE entity = ? ORDER BY action"
        return [(str(row[0]), int(row[1]), str(row[2])) for row in self._store.read(sql, (entity,)).fetchall()]

    def catch_up(self, *, gently: bool = False) -> None:
        """Takes over what was appended since; `gently` leaves most of the time to others, until somebody asks."""
        if not gently:
            self._asked.set()
        with self._lock:
            self._asked.clear()
            known = self.known()
            for name in segments.names(self.folder):
                read = known.get(name.removesuffix(".gz"))
                # What is packed was read before, unless the index was lost since.
                if read is None or not name.endswith(".gz"):
                    self._read(name, read[0] if read else 0, gently=gently)

    def known(self) -> dict[str, tuple[int, bytes]]:
        """Up to where each segment was read, and the hash that stood there."""
        rows = self._store.read("SELECT name, position, chain FROM audit_segments").fetchall()
        return {str(row[0]): (int(row[1]), str(row[2]).encode()) for row in rows}

    def expire(self, before_ms: int) -> None:
        """Forgets the events before a time."""
        with self._store.write() as connection:
            connection.execute(
                "DELETE FROM audit_resources WHERE id IN (SELECT id FROM audit_events WHERE time < ?)", (before_ms,)
            )
            connection.execute("DELETE FROM audit_events WHERE time < ?", (before_ms,))
            connection.execute("DELETE FROM audit_use WHERE time < ?", (before_ms - USES_MS,))

    def forget(self, segment: str) -> None:
        """Forgets that there was such a segment."""
        with self._store.write() as connection:
            connection.execute("DELETE FROM audit_segments WHERE name = ?", (segment.removesuffix(".gz"),))

    def _freshen(self) -> None:
        try:
            self.catch_up()
        except DatabaseFull:
            log.warning("the disk is full: the newest events of the audit log cannot be searched")

    def _read(self, name: str, position: int, *, gently: bool) -> None:
        path = self.folder / name
        if not name.endswith(".gz") and path.stat().st_size <= position:
            return
        batch: list[Line] = []
        for line in segments.lines(path, position):
            batch.append(line)
            if len(batch) == BATCH_LINES:
                self._take(name, batch)
                batch = []
                if gently:
                    self._asked.wait(REST_S)
        if batch:
            self._take(name, batch)

    def _take(self, name: str, batch: Sequence[Line]) -> None:
        events = [event for event in map(_event, batch) if event is not None]
        resources = dict.fromkeys(row for event, _ in events for row in _resources(event))
        uses = _uses([event for event, _ in events])
        with self._store.write() as connection:
            # Another process may read the same lines at the same time.
            connection.executemany(_INSERT, [_row(event, text) for event, text in events])
            connection.executemany(_INSERT_RESOURCE, list(resources))
            connection.executemany(_INSERT_USE, [(*key, *value) for key, value in uses.items()])
            connection.execute(_MOVE, (name.removesuffix(".gz"), batch[-1].end, batch[-1].chain.decode()))


_INSERT = "INSERT INTO audit_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_INSERT_RESOURCE = "INSERT INTO audit_resources VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_INSERT_USE = (
    "INSERT INTO audit_use VALUES (?, ?, ?, ?) ON CONFLICT (entity, action) "
    "DO UPDATE SET time = excluded.time, region = excluded.region WHERE excluded.time > audit_use.time"
)
_MOVE = (
    "INSERT INTO audit_segments VALUES (?, ?, ?) ON CONFLICT (name) "
    "DO UPDATE SET position = excluded.position, chain = excluded.chain "
    "WHERE excluded.position > audit_segments.position"
)


def _event(line: Line) -> tuple[Event, str] | None:
    """The event of a line; None for the lines that count lost ones, and for damaged ones."""
    try:
        return Event.of(line.body), line.body.decode()
    except ValueError:
        return None


def _row(event: Event, text: str) -> tuple[object, ...]:
    who, resources = event.who, event.resources
    return (
        event.id, event.time, event.account, event.source, event.operation, who.entity, who.username, who.key,
        event.code, int(event.read_only), int(event.management), _storable(resources[0] if resources else ""), text,
    )  # fmt: skip


def _storable(name: str) -> str:
    """A name as every engine keeps it: keys of objects may have NUL in them."""
    return name.replace("\0", "\ufffd")


def _resources(event: Event) -> Iterator[tuple[str, str, str]]:
    """The names of what a management event is about; data events are too many for a table of their own."""
    for arn in event.resources if event.management else ():
        kind = resource_type(arn)
        yield _storable(arn), kind, event.id
        yield _storable(resource_name(arn)), kind, event.id


def _uses(events: Sequence[Event]) -> dict[tuple[str, str], tuple[int, str]]:
    """The last use of each action by each user or role among these events."""
    uses: dict[tuple[str, str], tuple[int, str]] = {}
    for event in events:
        for check in event.checks:
            key = (event.who.entity, str(check["action"]))
            if key[0] and uses.get(key, (0, ""))[0] < event.time:
                uses[key] = (event.time, event.region)
    return uses


def _members(search: Search) -> dict[str, Any]:
    return {name: getattr(search, name) for name in Search.__slots__}
