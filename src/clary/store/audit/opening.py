"""Where the index of the audit log lives: in a file of its own, or in the database that machines share."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clary.store.audit.index import Index
from clary.store.database import DatabaseError, DatabaseFull

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from clary.settings import Settings
    from clary.store.database import Database

FOLDER = "audit"
"""Below the home folder."""

LAYOUT = 1
"""An index with another layout is thrown away and made again."""

_PRAGMAS = (
    "busy_timeout=10000",
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "cache_size=-32000",
    "wal_autocheckpoint=8000",
)


def open_index(settings: Settings, database: Database) -> Index:
    """The index of a platform; beside SQLite it is a file of its own, so that it keeps no write waiting."""
    folder = settings.home / FOLDER
    if settings.database:
        return Index(database, folder)
    file = IndexFile(folder / "index.db")
    return Index(file, folder, file.close)


class IndexFile:
    """A SQLite file that holds the index; several processes may use it. A damaged one is begun anew."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.RLock()
        try:
            self._connection = _connect(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise _told(error) from error
            path.unlink()
            self._connection = _connect(path)
        path.chmod(0o600)

    def read(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Runs a statement that changes nothing."""
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise _told(error) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, undone when it raises."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _told(error) from error
                raise

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if connection.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
            _empty(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _empty(connection: sqlite3.Connection) -> None:
    """Leaves nothing of an index with another layout."""
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been first.
    if connection.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            connection.execute(f"DROP TABLE {name}")
        connection.execute(f"PRAGMA user_version = {LAYOUT}")
    connection.execute("COMMIT")


def _told(error: sqlite3.Error) -> DatabaseError:
    code = getattr(error, "sqlite_errorcode", None)
    return (DatabaseFull if code == sqlite3.SQLITE_FULL else DatabaseError)(str(error))
