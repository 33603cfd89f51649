"""Records: everything the platform remembers that is neither an object, a log line nor a data point.

A record keeps what was asked (`spec`, the create request) apart from what was seen since (`status`, `observed`).
Handlers write wishes, controllers write facts; a lease keeps two controllers off the same record.
"""

from __future__ import annotations

import math
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson

from clary.store.database import UNLIMITED
from clary.store.revisions import Revisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from clary.store.database import Database, Row

Order = Literal["name", "created", "modified", "status"]
Cursor = tuple[str | float, int]
"""Where a page ended: the sort value and the row number of its last record."""


MOST_ROWS = 10_000
"""How many records `recall` keeps."""

LOOK_S = 0.25
"""How often `wait` looks for what other processes made due."""


class AlreadyExists(Exception):
    """There is a record of this kind and name."""


class Conflict(Exception):
    """The record was changed or deleted since it was read, or its lease was lost."""


@dataclass(slots=True)
class Record:
    """One thing the platform keeps; (kind, account, region, name) is its identity."""

    kind: str
    account: str
    region: str
    name: str
    arn: str
    spec: dict[str, Any]
    created: datetime
    modified: datetime
    status: str = ""
    observed: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    version: int = 0
    due: datetime | None = None
    id: int = 0
    lease_token: str = ""

    def cursor(self, order: Order) -> Cursor:
        """Where a page that is sorted by `order` goes on after this record."""
        value = getattr(self, order)
        return (value.timestamp() if isinstance(value, datetime) else str(value)), self.id


Page = list[Record]


@dataclass(frozen=True, slots=True)
class Query:
    """Which records to list, and how."""

    kind: str
    account: str
    region: str = ""
    name_contains: str = ""
    name_folded: str = ""
    """Exactly this name, in capitals or not."""
    name_prefix: str = ""
    statuses: Sequence[str] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    where: tuple[tuple[str, str | bool], ...] = ()
    """Members of the spec that must have these values: (("EndpointConfigName", "x"),); a flag may be missing for no."""
    seen: tuple[tuple[str, str], ...] = ()
    """Members of what was observed that must have these values."""
    waiting: bool = False
    """Only what is or will be due."""
    order_by: Order = "created"
    descending: bool = False
    after: Cursor | None = None
    limit: int = 100


class Records:
    """The table of records.

    `revision(kind)` grows with every write to a record of that kind, by whatever process: caches keyed by it are
    never stale.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revisions = Revisions(database)
        self._known: dict[str, tuple[int, Record | None]] = {}
        self._wake = threading.Condition()
        self._hints = 0

    def together(self) -> AbstractContextManager[object]:
        """A block whose writes count together or not at all; nobody else writes meanwhile."""
        return self._database.write()

    # Points

    def create(self, record: Record) -> Record:
        """Stores a new record.

        Raises:
            AlreadyExists: the identity is taken.
        """
        with self._database.write() as connection:
            found = connection.execute(_EXISTS, (record.kind, record.account, record.region, record.name)).fetchone()
            if found:
                raise AlreadyExists(record.name)
            row = connection.execute(_INSERT, (*_values(record), 1)).fetchone()
            self._revisions.bump(connection, record.kind)
        self._wake_for(record)
        return replace(record, id=row[0], version=1)

    def get(self, kind: str, account: str, region: str, name: str) -> Record | None:
        """The record, or None."""
        row = self._database.read(_GET, (kind, account, region, name)).fetchone()
        return _record(row) if row else None

    def by_arn(self, arn: str) -> Record | None:
        """The record that bears this ARN, or None."""
        row = self._database.read(_BY_ARN, (arn,)).fetchone()
        return _record(row) if row else None

    def recall(self, kind: str, arn: str) -> Record | None:
        """As `by_arn` for a record of this kind, from memory as long as nobody writes one.

        All callers share the answer, so nobody may change it: `edit` brings one that may be.
        """
        revision = self.revision(kind)
        seen, record = self._known.get(arn, (None, None))
        if seen != revision:
            record = self.by_arn(arn)
            if len(self._known) >= MOST_ROWS:
                self._known.clear()
            self._known[arn] = revision, record
        return record if record is not None and record.kind == kind else None

    def update(self, record: Record) -> Record:
        """Stores a changed record; a set `due` wakes the controllers.

        Raises:
            Conflict: it is not as it was read.
        """
        with self._database.write() as connection:
            changed = connection.execute(_UPDATE, (*_changes(record), record.id, record.version)).rowcount
            if changed != 1:
                raise Conflict(f"{record.kind} {record.name}")
            self._revisions.bump(connection, record.kind)
        self._wake_for(record)
        return replace(record, version=record.version + 1)

    def edit(self, record: Record, change: Callable[[Record], Record]) -> Record:
        """Changes a record as it now is, however it was changed since it was read; `change` must have no effects.

        Raises:
            Conflict: it was deleted meanwhile.
        """
        with self._database.write():
            current = self.get(record.kind, record.account, record.region, record.name)
            if current is None:
                raise Conflict(f"{record.kind} {record.name}")
            return self.update(change(current))

    def rename(self, record: Record, name: str, arn: str) -> Record:
        """Stores a changed record under another name or ARN.

        Raises:
            AlreadyExists: the name is taken.
            Conflict: it is not as it was read.
        """
        with self._database.write() as connection:
            taken = connection.execute(_EXISTS, (record.kind, record.account, record.region, name)).fetchone()
            if taken and name != record.name:
                raise AlreadyExists(name)
            changed = connection.execute(_RENAME, (name, arn, *_changes(record), record.id, record.version)).rowcount
            if changed != 1:
                raise Conflict(f"{record.kind} {record.name}")
            self._revisions.bump(connection, record.kind)
        self._wake_for(record)
        return replace(record, name=name, arn=arn, version=record.version + 1)

    def delete(self, record: Record) -> None:
        """Removes a record; one that is gone already is not an error."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM records WHERE id = ?", (record.id,))
            self._revisions.bump(connection, record.kind)

    def clear(self) -> None:
        """Removes every record; what else the platform keeps stays."""
        with self._database.write() as connection:
            kinds = [row[0] for row in connection.execute("SELECT DISTINCT kind FROM records")]
            connection.execute("DELETE FROM records")
            for kind in kinds:
                self._revisions.bump(connection, kind)

    # Lists

    def list(self, query: Query) -> Page:
        """The records that match, in order, at most `query.limit`."""
        sql, parameters = _select(query)
        return [_record(row) for row in self._database.read(sql, parameters)]

    def total(self, query: Query, member: str) -> int:
        """The sum of a whole number in the specs of all records that match; one that does not tell it counts 1."""
        conditions, parameters = _conditions(query)
        number = "CAST(coalesce(json_extract(spec, ?), '1') AS INTEGER)"
        sql = f"SELECT coalesce(sum({number}), 0) FROM records WHERE {conditions}"  # noqa: S608  # constants and marks
        return int(self._database.read(sql, [f"$.{member}", *parameters]).fetchone()[0])

    def all(self, query: Query) -> Page:
        """Every record that matches, without a limit."""
        return self.list(replace(query, limit=-1))

    # Leases

    def lease(self, now: datetime, seconds: float, limit: int) -> Page:
        """Takes records that are due, so that nobody else does until the lease ends.

        Raises:
            InUse: another control process has taken over.
        """
        self._database.claim()
        token = uuid.uuid4().hex
        moment = now.timestamp()
        with self._database.write() as connection:
            rows = connection.execute(_LEASE, (token, moment + seconds, moment, moment, limit)).fetchall()
        return [_record(row) for row in rows]

    def apply(self, record: Record) -> Record:
        """Stores what a controller found out and gives the lease back.

        Raises:
            Conflict: the lease was lost or the record was changed meanwhile; nothing is stored.
        """
        with self._database.write() as connection:
            due = record.due.timestamp() if record.due else None
            parameters = (*_changes(record)[:-1], due, due, record.id, record.version, record.lease_token)
            if connection.execute(_APPLY, parameters).rowcount != 1:
                raise Conflict(f"{record.kind} {record.name}")
            self._revisions.bump(connection, record.kind)
        self._wake_for(record)
        return replace(record, version=record.version + 1, lease_token="")

    def release(self, record: Record, due: datetime) -> None:
        """Gives a lease back unused; the record is looked at again when `due`."""
        with self._database.write() as connection:
            connection.execute(_RELEASE, (due.timestamp(), record.id, record.lease_token))
        self.hint()

    def touch(self, kind: str, account: str, region: str, name: str, now: datetime) -> None:
        """Makes a waiting record due now, for instance because its workload changed phase.

        When a step is under way, another one follows it at once, so the news is never lost.
        """
        with self._database.write() as connection:
            connection.execute(_TOUCH, (now.timestamp(), kind, account, region, name))
        self.hint()

    def resume(self, now: datetime) -> None:
        """Frees every lease and makes all that waits due; for the start of the one control process.

        Raises:
            InUse: another control process works with the database.
        """
        self._database.claim()
        with self._database.write() as connection:
            connection.execute(_RESUME, (now.timestamp(),))

    def next_due(self) -> float | None:
        """When the next record is due, in seconds since 1970, leases considered; None: no record waits."""
        row = self._database.read(_NEXT_DUE).fetchone()
        return None if row[0] is None else float(row[0])

    # Changes

    def hint(self) -> None:
        """Wakes whoever waits in `wait`."""
        with self._wake:
            self._hints += 1
            self._wake.notify_all()

    def wait(self, seen: int, seconds: float | None, due: float | None = None) -> int:
        """Returns when a hint newer than `seen` has been given or the time has passed; tells the newest hint.

        Where other processes write too, it also returns when `next_due` tells something else than `due`.
        """
        if not self._database.shared:
            return self._wait(seen, seconds)
        left = math.inf if seconds is None else seconds
        hint = self._wait(seen, 0)
        while hint == seen and left > 0 and self.next_due() == due:
            hint = self._wait(seen, min(left, LOOK_S))
            left -= LOOK_S
        return hint

    def revision(self, *kinds: str) -> int:
        """A number that grows with every write to a record of these kinds, by whatever process.

        Inside of a transaction it is one that no other call is told, as what it wrote may yet be undone.
        """
        return self._revisions.of(kinds)

    def _wait(self, seen: int, seconds: float | None) -> int:
        with self._wake:
            self._wake.wait_for(lambda: self._hints != seen, seconds)
            return self._hints

    def _wake_for(self, record: Record) -> None:
        if record.due is not None:
            self.hint()


_COLUMNS = (
    "id, kind, account, region, name, arn, status, spec, observed, tags, created, modified, version, due, lease_token"
)
_EXISTS = "SELECT 1 FROM records WHERE kind = ? AND account = ? AND region = ? AND name = ?"
_GET = f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND account = ? AND region = ? AND name = ?"  # noqa: S608  # constants
_BY_ARN = f"SELECT {_COLUMNS} FROM records WHERE arn = ?"  # noqa: S608  # constants
_INSERT = """
INSERT INTO records (kind, account, region, name, arn, status, spec, observed, tags, created, modified, due, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_CHANGES = "status = ?, spec = ?, observed = ?, tags = ?, modified = ?, due = ?, version = version + 1"
_UPDATE = f"UPDATE records SET {_CHANGES} WHERE id = ? AND version = ?"  # noqa: S608  # constants
_RENAME = f"UPDATE records SET name = ?, arn = ?, {_CHANGES} WHERE id = ? AND version = ?"  # noqa: S608  # constants
_APPLY = (
    "UPDATE records SET status = ?, spec = ?, observed = ?, tags = ?, modified = ?, "
    "due = CASE WHEN CAST(? AS DOUBLE PRECISION) IS NOT NULL AND touched = 1 THEN due ELSE ? END, "
    "version = version + 1, lease_token = NULL, lease_until = NULL WHERE id = ? AND version = ? AND lease_token = ?"
)
_RELEASE = "UPDATE records SET due = ?, lease_token = NULL, lease_until = NULL WHERE id = ? AND lease_token = ?"
_TOUCH = (
    "UPDATE records SET due = ?, touched = 1 "
    "WHERE kind = ? AND account = ? AND region = ? AND name = ? AND due IS NOT NULL"
)
_LEASE = f"""
UPDATE records SET lease_token = ?, lease_until = ?, touched = 0
WHERE id IN (SELECT id FROM records WHERE due <= ? AND (lease_until IS NULL OR lease_until <= ?) ORDER BY due LIMIT ?)
RETURNING {_COLUMNS}
"""  # noqa: S608  # constants
_RESUME = "UPDATE records SET lease_token = NULL, lease_until = NULL, due = min(due, ?) WHERE due IS NOT NULL"
_NEXT_DUE = "SELECT min(max(due, coalesce(lease_until, 0))) FROM records WHERE due IS NOT NULL"
_SORT: dict[Order, str] = {"name": "name", "created": "created", "modified": "modified", "status": "status"}


def _values(record: Record) -> Row:
    return (
        record.kind,
        record.account,
        record.region,
        record.name,
        record.arn,
        record.status,
        _dump(record.spec),
        _dump(record.observed),
        _dump(record.tags),
        record.created.timestamp(),
        record.modified.timestamp(),
        record.due.timestamp() if record.due else None,
    )


def _changes(record: Record) -> Row:
    return (
        record.status,
        _dump(record.spec),
        _dump(record.observed),
        _dump(record.tags),
        record.modified.timestamp(),
        record.due.timestamp() if record.due else None,
    )


def _record(row: Row) -> Record:
    return Record(
        id=row[0],
        kind=row[1],
        account=row[2],
        region=row[3],
        name=row[4],
        arn=row[5],
        status=row[6],
        spec=orjson.loads(row[7]),
        observed=orjson.loads(row[8]),
        tags=orjson.loads(row[9]),
        created=datetime.fromtimestamp(row[10], UTC),
        modified=datetime.fromtimestamp(row[11], UTC),
        version=row[12],
        due=datetime.fromtimestamp(row[13], UTC) if row[13] is not None else None,
        lease_token=row[14] or "",
    )


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


def _select(query: Query) -> tuple[str, list[object]]:
    conditions, parameters = _conditions(query)
    column = _SORT[query.order_by]
    if query.after is not None:
        conditions += f" AND ({column}, id) {'<' if query.descending else '>'} (?, ?)"
        parameters.extend(query.after)
    direction = "DESC" if query.descending else "ASC"
    sql = (
        f"SELECT {_COLUMNS} FROM records WHERE {conditions} "  # noqa: S608  # only constants and marks
        f"ORDER BY {column} {direction}, id {direction} LIMIT ?"
    )
    return sql, [*parameters, query.limit if query.limit >= 0 else UNLIMITED]


def _conditions(query: Query) -> tuple[str, list[object]]:
    conditions = ["kind = ?", "account = ?", "region = ?"]
    parameters: list[object] = [query.kind, query.account, query.region]

    def add(condition: str, *values: object) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if query.name_folded:
        add("lower(name) = ?", query.name_folded.lower())
    if query.name_contains:
        add("instr(name, ?) > 0", query.name_contains)
    if query.name_prefix:
        add("substr(name, 1, ?) = ?", len(query.name_prefix), query.name_prefix)
    if query.statuses:
        add(f"status IN ({', '.join('?' * len(query.statuses))})", *query.statuses)
    for column, comparison, moment in (
        ("created", ">", query.created_after),
        ("created", "<", query.created_before),
        ("modified", ">", query.modified_after),
        ("modified", "<", query.modified_before),
    ):
        if moment is not None:
            add(f"{column} {comparison} ?", moment.timestamp())
    if query.waiting:
        add("due IS NOT NULL")
    for condition, *values in _members(query):
        add(condition, *values)
    return " AND ".join(conditions), parameters


def _members(query: Query) -> Iterator[tuple[str, ...]]:
    """The conditions on members of what was asked and seen, each with its values."""
    for member, value in query.where:
        if isinstance(value, bool):
            # Each engine has its own idea of what a flag is.
            known = "coalesce(CAST(json_extract(spec, ?) AS TEXT), 'false') IN ('1', 'true')"
            yield known if value else f"NOT {known}", f"$.{member}"
        else:
            yield "json_extract(spec, ?) = ?", f"$.{member}", value
    for member, text in query.seen:
        yield "json_extract(observed, ?) = ?", f"$.{member}", text
