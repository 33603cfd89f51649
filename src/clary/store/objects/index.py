"""The rows of objects: which versions a key has, and what each one is.

The rows of a version are written in one transaction, after its content is complete: an object is there as a whole or
not at all.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from clary.store.objects.errors import telling_full_disk
from clary.store.objects.lock import refuse_locked
from clary.store.objects.version import NULL_VERSION, Content, Meta, Version, Versioning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clary.store.database import Connection, Database, Row
    from clary.store.objects.checksums import Checksum
    from clary.store.objects.sweeping import Sweeper

Condition = Callable[[Version | None], None]
"""Refuses a write by raising; it sees the current version as it is inside of the transaction."""


class NewObject(NamedTuple):
    """An object that is about to be written."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: float
    checksum: Checksum | None
    meta: Meta
    version_id: str = ""
    """That of the version whose replica it is; empty: it gets its own."""


class Transaction(NamedTuple):
    """A transaction, and the content files that nothing names any more once it is committed."""

    connection: Connection
    orphans: list[str]


class Index:
    """The tables of versions and contents."""

    def __init__(self, database: Database, sweeper: Sweeper) -> None:
        self._database = database
        self._sweeper = sweeper
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction whose orphaned files are removed when it is committed; blocks may nest."""
        outer: Transaction | None = getattr(self._local, "transaction", None)
        if outer is not None:
            yield outer
            return
        orphans: list[str] = []
        with telling_full_disk(), self._database.write() as connection:
            self._local.transaction = transaction = Transaction(connection, orphans)
            try:
                yield transaction
            finally:
                self._local.transaction = None
        if orphans:
            self._sweeper.discard(orphans)

    def get(self, bucket: str, key: str, version_id: str | None = None, *, content: bool = False) -> Version | None:
        """The current version of a key or the one named, delete markers included; `content` brings its bytes along."""
        if version_id is None:
            row = self._database.read(_CURRENT_CONTENT if content else _CURRENT, (bucket, key)).fetchone()
        else:
            row = self._database.read(_NAMED_CONTENT if content else _NAMED, (bucket, key, version_id)).fetchone()
        return Version(*row) if row else None

    def put(
        self, new: NewObject, content: Content, versioning: Versioning, condition: Condition | None = None
    ) -> Version:
        """Makes received bytes the current version of a key."""
        with self.transaction() as transaction:
            place = (content.bytes, content.file or None, None, content.sealed_key)
            version = self.insert(transaction, new, place, versioning, condition)
        content.kept = True
        return version

    def insert(
        self, transaction: Transaction, new: NewObject, place: Row, versioning: Versioning, condition: Condition | None
    ) -> Version:
        """The same within a transaction; `place` is bytes, file or upload that hold the content, and its key."""
        if condition is not None:
            condition(self.get(new.bucket, new.key))
        _make_room(transaction, new.bucket, new.key, versioning, new.modified)
        checksum = str(new.checksum) if new.checksum else ""
        row = (new.bucket, new.key, 0, new.size, new.etag, new.modified, checksum, new.meta.dump())
        return _insert(transaction.connection, row, place, versioning, new.version_id)

    def remove(
        self, bucket: str, key: str, versioning: Versioning, now: float, condition: Condition | None = None
    ) -> Version | None:
        """Takes the current version of a key away; tells the delete marker that stands in its place, if any."""
        with self.transaction() as transaction:
            if condition is not None:
                condition(self.get(bucket, key))
            _make_room(transaction, bucket, key, versioning, now)
            if not versioning:
                return None
            row = (bucket, key, 1, 0, "", now, "", "{}")
            return _insert(transaction.connection, row, (None, None, None, None), versioning)

    def remove_version(
        self, bucket: str, key: str, version_id: str, now: float, *, bypass: bool = False
    ) -> Version | None:
        """Removes one version for good and tells it; the one before it becomes the current one.

        Raises:
            Locked: it is protected at `now`, by more than the retention in governance mode that `bypass` passes over.
        """
        with self.transaction() as transaction:
            version = self.get(bucket, key, version_id)
            if version is None:
                return None
            refuse_locked(version.meta_text, now, bypass=bypass)
            transaction.connection.execute(_DELETE, (bucket, version.past, key, version.sequence))
            _drop_content(transaction, version.sequence)
            if not version.past:
                transaction.connection.execute(_PROMOTE, (bucket, key, bucket, key))
            return version

    def edit(self, version: Version, change: Callable[[Meta], None]) -> None:
        """Changes what is said about a version, whatever was said since it was read; `change` may refuse by raising."""
        with self.transaction() as transaction:
            current = self.get(version.bucket, version.key, version.version_id)
            if current is not None and current.sequence == version.sequence:
                meta = current.meta
                change(meta)
                transaction.connection.execute(_DESCRIBE, (meta.dump(), version.bucket, version.key, version.sequence))

    def buckets(self) -> Iterator[str]:
        """The names of the buckets that hold versions or uploads."""
        name = ""
        while (row := self._database.read(_NEXT_BUCKET, (name, name)).fetchone()) and row[0] is not None:
            name = row[0]
            yield name

    def is_empty(self, bucket: str) -> bool:
        """Whether a bucket holds neither versions nor delete markers."""
        return self._database.read("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (bucket,)).fetchone() is None


def named(database: Database, files: Sequence[str]) -> set[str]:
    """Which of some content files rows name."""
    if not files:
        return set()
    marks = ", ".join("?" * len(files))
    rows = database.read(_NAMED_FILES.format(marks=marks), (*files, *files)).fetchall()
    return {row[0] for row in rows}


def _make_room(transaction: Transaction, bucket: str, key: str, versioning: Versioning, now: float) -> None:
    """Makes the current version a past one, or removes what a write without versioning replaces."""
    connection = transaction.connection
    if not versioning:
        replaced = connection.execute(_REPLACED_CURRENT, (bucket, key)).fetchall()
    elif versioning == "Suspended":
        replaced = connection.execute(_REPLACED_NULL, (bucket, key)).fetchall()
    else:
        replaced = []
    for past, sequence, meta, file, upload_id in replaced:
        refuse_locked(meta, now)
        connection.execute(_DELETE, (bucket, past, key, sequence))
        connection.execute(_DELETE_CONTENT, (sequence,))
        _drop_place(transaction, file, upload_id)
    if versioning:
        connection.execute(_AGE, (bucket, key))


def _drop_content(transaction: Transaction, sequence: int) -> None:
    for file, upload_id in transaction.connection.execute(_TAKE_CONTENT, (sequence,)).fetchall():
        _drop_place(transaction, file, upload_id)


def _drop_place(transaction: Transaction, file: str | None, upload_id: str | None) -> None:
    if file is not None:
        transaction.orphans.append(file)
    if upload_id is not None:
        drop_parts(transaction, upload_id)


def drop_parts(transaction: Transaction, upload_id: str) -> None:
    """Removes the parts of an upload or of the object that it became."""
    rows = transaction.connection.execute("DELETE FROM parts WHERE upload_id = ? RETURNING file", (upload_id,))
    transaction.orphans.extend([row[0] for row in rows.fetchall()])


def _insert(connection: Connection, row: Row, place: Row, versioning: Versioning, version_id: str = "") -> Version:
    sequence = connection.execute(_INSERT_CONTENT, place).fetchone()[0]
    # A listing goes on from a version id even when that version is gone, so the id tells the order.
    own = f"{sequence:016x}{secrets.token_hex(8)}" if versioning == "Enabled" else NULL_VERSION
    bucket, key, *rest = row
    values = (bucket, 0, key, sequence, version_id or own, *rest)
    connection.execute(_INSERT, values)
    return Version(*values)


def sequence_of(version_id: str) -> int:
    """The place in the order of versions that an id tells; 0 when it is none of ours."""
    try:
        return int(version_id[:16], 16)
    except ValueError:
        return 0


COLUMNS = "bucket, past, key, sequence, version_id, deleted, size, etag, modified, checksum, meta"
_CONTENT = "bytes, file, upload_id, sealed_key"
_WITH_CONTENT = "LEFT JOIN contents ON contents.id = sequence"
_WHERE_CURRENT = "WHERE bucket = ? AND past = 0 AND key = ?"
_WHERE_NAMED = "WHERE bucket = ? AND past IN (0, 1) AND key = ? AND version_id = ?"
# ruff: noqa: S608  # statements are put together from constants only
_CURRENT = f"SELECT {COLUMNS} FROM objects {_WHERE_CURRENT}"
_CURRENT_CONTENT = f"SELECT {COLUMNS}, {_CONTENT} FROM objects {_WITH_CONTENT} {_WHERE_CURRENT}"
_NAMED = f"SELECT {COLUMNS} FROM objects {_WHERE_NAMED}"
_NAMED_CONTENT = f"SELECT {COLUMNS}, {_CONTENT} FROM objects {_WITH_CONTENT} {_WHERE_NAMED}"
_INSERT = f"INSERT INTO objects ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_CONTENT = f"INSERT INTO contents ({_CONTENT}) VALUES (?, ?, ?, ?) RETURNING id"
# To look first and delete then takes SQLite less time than to delete with RETURNING, above all where there is nothing.
_REPLACED = f"SELECT past, sequence, meta, file, upload_id FROM objects {_WITH_CONTENT}"
_REPLACED_CURRENT = f"{_REPLACED} {_WHERE_CURRENT}"
_REPLACED_NULL = f"{_REPLACED} WHERE bucket = ? AND past IN (0, 1) AND key = ? AND version_id = 'null'"
_DELETE = "DELETE FROM objects WHERE bucket = ? AND past = ? AND key = ? AND sequence = ?"
_DELETE_CONTENT = "DELETE FROM contents WHERE id = ?"
_TAKE_CONTENT = f"{_DELETE_CONTENT} RETURNING file, upload_id"
_AGE = f"UPDATE objects SET past = 1 {_WHERE_CURRENT}"
_PROMOTE = """
UPDATE objects SET past = 0
WHERE bucket = ? AND past = 1 AND key = ?
AND sequence = (SELECT max(sequence) FROM objects WHERE bucket = ? AND past = 1 AND key = ?)
"""
_DESCRIBE = "UPDATE objects SET meta = ? WHERE bucket = ? AND past IN (0, 1) AND key = ? AND sequence = ?"
_NEXT_BUCKET = """
SELECT min(bucket) FROM (
    SELECT min(bucket) AS bucket FROM objects WHERE bucket > ?
    UNION ALL SELECT min(bucket) AS bucket FROM uploads WHERE bucket > ?
) AS following
"""
_NAMED_FILES = """
SELECT file FROM contents WHERE file IN ({marks}) UNION ALL SELECT file FROM parts WHERE file IN ({marks})
"""
