"""A PostgreSQL server, shared by processes on any number of machines.

Commits do not wait for the disk (`synchronous_commit=off`); a tiny synchronous transaction flushes the log for all of
them (PostgreSQL manual, "Asynchronous Commit"). A crash of the server ends every connection, so when the one that
flushes is still the same, nothing that was committed since it began has been lost. Writers of all processes come one
after the other by an advisory lock, since the callers of `write` check before they change.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import IntDumper

from clary.store import dialect
from clary.store.database import (
    Database,
    DatabaseError,
    DatabaseFull,
    InUse,
    Rows,
    Unavailable,
    Unstorable,
    refuse_newer,
)
from clary.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    T = TypeVar("T")

MOST_CONNECTIONS = 10
"""Of one process, besides two kept for flushing and for its claim; a server allows 100 unless told otherwise."""

PATIENCE_S = 10.0
AGAIN_AFTER_S = 1.0
"""How long nobody tries to connect after it failed: requests shall be refused quickly meanwhile."""

CONNECTING: Mapping[str, int | str] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "clary",
}
PREPARE = """
SET synchronous_commit = off; SET statement_timeout = '30s'; SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '60s'; SET default_transaction_isolation = 'read committed';
SET client_encoding = 'UTF8'; SET jit = off; SET max_parallel_workers_per_gather = 0
"""
FLUSH = "SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'clary', '')"
"""A commit that wrote nothing is not flushed, so this one writes a message that nobody reads."""

LOST = "the database server went down; the last writes may be lost"


class PostgresDatabase(Database):
    """Connections to one server; threads borrow them.

    Args:
        url: `postgresql://user@host/database`, as libpq reads it.
        durable: whether `sync` has the server flush its log or returns at once.

    Raises:
        Unavailable: the server cannot be reached.
        DatabaseError: the address or the server is of no use.
    """

    shared = True

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self._conninfo = _conninfo(url)
        self._durable = durable
        self._local = threading.local()
        self._idle: list[_Session] = []
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._again_at = 0.0
        self._why = ""
        self._write_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._flusher: _Session | None = None
        self._keeper: _Session | None = None
        self._epoch = 0
        self._written = self._synced = self._doubted = 0
        self._scope = self._migrate()

    # Statements

    def read(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """Runs a statement that changes nothing; inside of `write` it sees what was written there."""
        session: _Session | None = getattr(self._local, "session", None)
        if session is not None:
            return session.execute(sql, parameters)
        session, rows = self._first(lambda session: session.execute(sql, parameters))
        self._give(session)
        return rows

    @contextmanager
    def write(self) -> Iterator[_Session]:
        """A transaction: committed at the end of the block, undone when it raises; blocks may nest."""
        outer: _Session | None = getattr(self._local, "session", None)
        if outer is not None:
            yield outer
            return
        with self._write_lock:
            epoch = self._flushable()
            session, _ = self._first(self._begin)
            self._local.session = session
            try:
                yield session
                session.run("COMMIT")
            except BaseException:
                session.roll_back()
                raise
            finally:
                self._local.session = None
                self._give(session)
            self._written += 1
            if epoch != self._epoch:
                raise Unavailable(LOST)

    @property
    def writing(self) -> bool:
        """Whether the calling thread is inside of `write`."""
        return getattr(self._local, "session", None) is not None

    def mark(self) -> object:
        """Equal to nothing: only the tables tell whether somebody else has committed."""
        return object()

    def stale(self) -> None:
        """Nothing to do, as no mark is equal to another."""

    # Durability

    @property
    def written(self) -> int:
        """Counts the commits of this process."""
        return self._written

    @property
    def synced(self) -> int:
        """How many of them are as durable as they will be."""
        return self._synced if self._durable else self._written

    def sync(self) -> None:
        """Returns once all commits made before the call are on the disk of the server."""
        if not self._durable:
            return
        wanted = self._written
        with self._sync_lock:
            if self._synced >= wanted:
                return
            if self._flusher is None or wanted <= self._doubted:
                raise Unavailable(LOST)
            reached = self._written
            try:
                self._flusher.run(FLUSH)
            except DatabaseError:
                self._doubt()
                raise
            self._synced = reached

    def _flushable(self) -> int:
        """Sees to the connection that will flush; tells how often there was a new one."""
        if self._durable and self._flusher is None:
            with self._sync_lock:
                if self._flusher is None:
                    self._flusher = self._connect()
        return self._epoch

    def _doubt(self) -> None:
        """The server may have lost what is not flushed; whoever still waits for that is told."""
        self._epoch += 1
        self._doubted = self._written
        if self._flusher is not None:
            self._flusher.close()
            self._flusher = None

    # The one control process

    def claim(self) -> None:
        """Takes or keeps the place of the one control process until `close` or the end of the process."""
        if self._keeper is not None and self._keeper.alive():
            return
        self._keeper = None
        session = self._connect()
        try:
            # A killed process lets go of it within moments.
            session.run("SET lock_timeout = '3s'")
            session.run(f"SELECT pg_advisory_lock({_CONTROL}, {self._scope})")
        except Unavailable as error:
            broken = session.broken
            session.close()
            if broken:
                raise
            raise InUse("another platform works with this database") from error
        self._keeper = session

    def close(self) -> None:
        """Closes every connection; the object is of no use afterwards."""
        with self._write_lock, self._sync_lock:
            for session in (*self._idle, self._flusher, self._keeper):
                if session is not None:
                    session.close()
            self._idle.clear()
            self._flusher = self._keeper = None

    # Connections

    def _begin(self, session: _Session) -> None:
        session.run(f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS}, {self._scope})")

    def _first(self, action: Callable[[_Session], T]) -> tuple[_Session, T]:
        """What an action answers as the first one in a session, which the caller gives back."""
        try:
            return self._try(action)
        except _Stale:
            return self._try(action)

    def _try(self, action: Callable[[_Session], T]) -> tuple[_Session, T]:
        session, was_idle = self._take()
        try:
            return session, action(session)
        except BaseException as error:
            session.roll_back()
            broken = session.broken
            self._give(session)
            if broken and was_idle and isinstance(error, Unavailable):
                raise _Stale(str(error)) from error
            raise

    def _take(self) -> tuple[_Session, bool]:
        if not self._slots.acquire(timeout=PATIENCE_S):
            raise Unavailable("all connections to the database are busy")
        try:
            return self._idle.pop(), True
        except IndexError:
            pass
        try:
            return self._connect(), False
        except BaseException:
            self._slots.release()
            raise

    def _give(self, session: _Session) -> None:
        if session.broken:
            session.close()
            self._dropped()
        else:
            self._idle.append(session)
        self._slots.release()

    def _dropped(self) -> None:
        """Finds out whether one connection broke or the server went down, and all of them are of no use."""
        with self._sync_lock:
            if self._flusher is not None and self._flusher.alive():
                return
            self._doubt()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _connect(self) -> _Session:
        if time.monotonic() < self._again_at:
            raise Unavailable(self._why)
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=2)
        except psycopg.Error as error:
            self._why = f"the database cannot be reached: {error}"
            self._again_at = time.monotonic() + AGAIN_AFTER_S
            raise Unavailable(self._why) from None
        connection.adapters.register_dumper(bool, IntDumper)  # as SQLite keeps them
        session = _Session(connection)
        try:
            session.run(PREPARE)
        except BaseException:
            session.close()
            raise
        return session

    def _migrate(self) -> int:
        """Brings the tables to the newest layout; tells the number that sets them apart from others on the server."""
        session = self._connect()
        try:
            session.run("BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_advisory_xact_lock(hashtext('clary'))")
            _refuse_encoding(session)
            session.run("CREATE TABLE IF NOT EXISTS layout (version BIGINT NOT NULL)")
            row = session.execute("SELECT version FROM layout").fetchone()
            if row is None:
                session.run("INSERT INTO layout VALUES (0)")
                session.run(dialect.FUNCTIONS)
            version = row[0] if row else 0
            refuse_newer(version, len(MIGRATIONS))
            for script in MIGRATIONS[version:]:
                session.run(dialect.schema(script))
            session.execute("UPDATE layout SET version = ?", (len(MIGRATIONS),))
            scope = int(session.execute("SELECT CAST('records'::regclass::oid AS INTEGER)").fetchone()[0])
            session.run("COMMIT")
        except BaseException:
            session.close()
            raise
        self._idle.append(session)
        return scope


class _Stale(Unavailable):
    """A connection that waited for work was dead already, so nothing was done."""


class _Session:
    """One connection, in the hands of one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Runs one statement."""
        try:
            return self._connection.execute(dialect.statement(sql), parameters, binary=True)
        except psycopg.Error as error:
            raise _told(error) from error

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Runs a statement once for each row of parameters."""
        try:
            self._connection.cursor().executemany(dialect.statement(sql), parameters)
        except psycopg.Error as error:
            raise _told(error) from error

    def run(self, script: str) -> None:
        """Runs statements without parameters in one exchange."""
        try:
            self._connection.execute(script)
        except psycopg.Error as error:
            raise _told(error) from error

    def roll_back(self) -> None:
        """Undoes the transaction, if there is one."""
        with suppress(psycopg.Error):
            self._connection.rollback()

    @property
    def broken(self) -> bool:
        """Whether the connection is gone."""
        return self._connection.closed

    def alive(self) -> bool:
        """Whether the server still answers."""
        try:
            self.run("SELECT 1")
        except DatabaseError:
            return False
        return True

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _conninfo(url: str) -> str:
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
        return make_conninfo("", **{**CONNECTING, **given})
    except psycopg.Error:
        # The message of the library may repeat the password.
        raise DatabaseError("it is not an address of the form postgresql://user@host/database") from None


def _refuse_encoding(session: _Session) -> None:
    encoding = session.execute("SHOW server_encoding").fetchone()[0]
    if encoding != "UTF8":
        raise DatabaseError(f"its encoding is {encoding}; make one with CREATE DATABASE ... ENCODING 'UTF8'")


def _told(error: psycopg.Error) -> DatabaseError:
    state = error.sqlstate or ""
    text = error.diag.message_primary or str(error)
    if state == "53100":
        return DatabaseFull(text)
    if state.startswith(_UNSTORABLE) or (not state and isinstance(error, psycopg.DataError)):
        return Unstorable(text)
    if state == _READ_ONLY or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(text)
    return DatabaseError(text)


_WRITERS, _CONTROL = 1, 2
"""The first numbers of the advisory locks; the second is that of a table, as several platforms may share a server."""

_UNSTORABLE = ("22", "54")
"""Classes of SQLSTATE: data exception, program limit exceeded."""

_READ_ONLY = "25006"
