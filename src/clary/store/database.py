"""One SQLite file, shared by the threads of the process.

Commits reach the file at once and so survive the end of the process; `sync` makes all earlier commits survive power
loss. Many callers share one sync, which is why it is not part of the commit: one disk flush takes milliseconds.
Source: sqlite.org, "Write-Ahead Logging" and "PRAGMA synchronous" (a flushed WAL file is what FULL adds to NORMAL).
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clary.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


RESERVE_BYTES = 1 << 20
"""Room that is given up when the disk is full, so that jobs can still end and their folders be removed."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk has no room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


class Database:
    """Connections to one file: one for each thread, writers one after the other.

    Args:
        path: the file; made when it is not there.
        durable: whether `sync` flushes to the disk or returns at once.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._local = threading.local()
        self._write_lock = threading.RLock()
        self._sync_lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._written = 0
        self._synced = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._migrate()
        except BaseException:
            self.connection.close()
            raise
        self._reserve = path.with_name("reserve")
        self._keep_reserve()
        self._wal = os.open(f"{path}-wal", os.O_RDWR)

    def read(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Runs a statement that changes nothing."""
        return self.connection.execute(sql, parameters)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, undone when it raises; blocks may nest."""
        with self._write_lock:
            connection = self.connection
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                # SQLite itself has undone it already after some errors.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if is_full(error):
                    self._reserve.unlink(missing_ok=True)
                    self._reserved = False
                raise
            self._written += 1
            if not self._reserved:
                self._keep_reserve()

    @property
    def written(self) -> int:
        """Counts the commits of this process; compare before and after to see whether a call wrote."""
        return self._written

    @property
    def synced(self) -> int:
        """How many of them are as durable as they will be."""
        return self._synced if self._durable else self._written

    @property
    def unsynced(self) -> bool:
        """Whether a commit of this process is not on the disk yet."""
        return self.synced < self._written

    def sync(self) -> None:
        """Returns once all commits made before the call are on the disk; concurrent callers share one flush."""
        if not self._durable:
            return
        wanted = self._written
        with self._sync_lock:
            if self._synced >= wanted:
                return
            reached = self._written
            os.fdatasync(self._wal)
            self._synced = reached

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the calling thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def close(self) -> None:
        """Closes every connection; the object is of no use afterwards."""
        with self._write_lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            os.close(self._wal)

    def _keep_reserve(self) -> None:
        """Puts room aside, unless what is left is needed more urgently."""
        self._reserved = self._reserve.exists()
        if not self._reserved and shutil.disk_usage(self._reserve.parent).free > 2 * RESERVE_BYTES:
            self._reserve.write_bytes(bytes(RESERVE_BYTES))
            self._reserved = True

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=512)
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=10000",
            "cache_size=-16000",
            "wal_autocheckpoint=4000",
            "mmap_size=268435456",
        ):
            connection.execute(f"PRAGMA {pragma}")
        with self._write_lock:
            self._connections.append(connection)
        return connection

    def _migrate(self) -> None:
        with self._write_lock:
            connection = self.connection
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise sqlite3.DatabaseError(f"it was written by a newer version of Clary (layout {version})")
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                connection.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")


Row = tuple[Any, ...]
