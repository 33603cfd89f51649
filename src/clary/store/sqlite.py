"""One SQLite file, shared by the threads of a process and by processes of the same machine.

Commits reach the file at once and so survive the end of the process; a flush of the write-ahead log makes them survive
power loss. Source: sqlite.org, "Write-Ahead Logging" and "PRAGMA synchronous" (a flushed log is what FULL adds to
NORMAL).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clary.store.database import Database, DatabaseError, DatabaseFull, is_full, refuse_newer
from clary.store.generation import Generation
from clary.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


RESERVE_BYTES = 1 << 20
"""Room that is given up when the disk is full, so that jobs can still end and their folders be removed."""


class SqliteDatabase(Database):
    """Connections to one file: one for each thread.

    Args:
        path: the file; made when it is not there.
        durable: whether `sync` flushes to the disk or returns at once.
        shared: whether other processes write to it too.
    """

    lazy = True

    def __init__(self, path: Path, *, durable: bool = True, shared: bool = False) -> None:
        self.shared = shared
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
        except sqlite3.Error as error:
            self._close_all()
            raise _told(error) from error
        except BaseException:
            self._close_all()
            raise
        self._reserve = path.with_name("reserve")
        self._keep_reserve()
        self._wal = os.open(f"{path}-wal", os.O_RDWR)
        self._turns = os.open(f"{path}-turns", os.O_RDWR | os.O_CREAT, 0o600)
        self._generation = Generation(path.with_name(f"{path.name}-generation"))

    def read(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Runs a statement that changes nothing."""
        try:
            return self.connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise _told(error) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, undone when it raises; blocks may nest."""
        with self._write_lock:
            connection = self.connection
            if connection.in_transaction:
                yield connection
                return
            self._take_turn()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                self._undo(connection, error)
                if isinstance(error, sqlite3.Error):
                    raise _told(error) from error
                raise
            finally:
                self._generation.end()
                self._give_turn()
            self._written += 1
            if not self._reserved:
                self._keep_reserve()

    @property
    def writing(self) -> bool:
        """Whether the calling thread is inside of `write`."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        return connection is not None and connection.in_transaction

    @property
    def written(self) -> int:
        """Counts the commits of this process."""
        return self._written

    @property
    def synced(self) -> int:
        """How many of them are as durable as they will be."""
        return self._synced if self._durable else self._written

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

    def mark(self) -> object:
        """Equal to an earlier answer only if no transaction that told `stale` has been committed since, by anyone."""
        return self._generation.now()

    def stale(self) -> None:
        """Tells, inside of `write`, that what was read before will be out of date."""
        self._generation.begin()

    def claim(self) -> None:
        """Nothing to do: the lock of the home folder keeps other control processes out."""

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
            self._close_all()
            self._generation.close()
            os.close(self._wal)
            os.close(self._turns)

    def _close_all(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _take_turn(self) -> None:
        # SQLite itself sleeps and looks again, for up to a tenth of a second; the kernel wakes who waits for a file.
        if self.shared:
            fcntl.flock(self._turns, fcntl.LOCK_EX)

    def _give_turn(self) -> None:
        if self.shared:
            fcntl.flock(self._turns, fcntl.LOCK_UN)

    def _undo(self, connection: sqlite3.Connection, error: BaseException) -> None:
        # SQLite itself has undone it already after some errors.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if is_full(_told(error) if isinstance(error, sqlite3.Error) else error):
            self._reserve.unlink(missing_ok=True)
            self._reserved = False

    def _keep_reserve(self) -> None:
        """Puts room aside, unless what is left is needed more urgently."""
        self._reserved = self._reserve.exists()
        if not self._reserved and shutil.disk_usage(self._reserve.parent).free > 2 * RESERVE_BYTES:
            self._reserve.write_bytes(bytes(RESERVE_BYTES))
            self._reserved = True

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=512)
        self._connections.append(connection)  # also one that turns out to be of no use must be closed
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=10000",
            "cache_size=-16000",
            "wal_autocheckpoint=4000",
            "mmap_size=268435456",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _migrate(self) -> None:
        while (version := self._version()) < len(MIGRATIONS):
            script = f"BEGIN IMMEDIATE; {MIGRATIONS[version]} PRAGMA user_version={version + 1}; COMMIT;"
            try:
                self.connection.executescript(script)
            except sqlite3.Error:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                if self._version() == version:
                    raise
                # Another process took this step at the same time.
        refuse_newer(version, len(MIGRATIONS))

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])


def _told(error: sqlite3.Error) -> DatabaseError:
    # Errors of the module itself, such as a statement that is none, have no code.
    code = getattr(error, "sqlite_errorcode", None)
    return (DatabaseFull if code == sqlite3.SQLITE_FULL else DatabaseError)(str(error))
