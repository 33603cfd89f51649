"""A PostgreSQL server, shared by processes on any number of machines.

Commits do not wait for the disk (`synchronous_commit=off`); a tiny synchronous transaction flushes the log for all of
them (PostgreSQL manual, "Asynchronous Commit"). A crash of the server ends every connection, so when the one that
flushes is still the same, nothing that was committed since it began has been lost. Writers of all processes come one
after the other by an advisory lock, since the callers of `write` check before they change.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clary.store.database import Database, DatabaseError, InUse, Rows, Unavailable, refuse_newer
from clary.store.postgres import dialect
from clary.store.postgres.pool import Pool
from clary.store.postgres.session import Session, address
from clary.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        self._pool = Pool(address(url), self._is_down)
        self._durable = durable
        self._local = threading.local()
        self._write_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._flusher: Session | None = None
        self._keeper: Session | None = None
        self._epoch = 0
        self._written = self._synced = self._doubted = 0
        self._scope = self._migrate()

    # Statements

    def read(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """Runs a statement that changes nothing; inside of `write` it sees what was written there."""
        session: Session | None = getattr(self._local, "session", None)
        if session is not None:
            return session.execute(sql, parameters)
        session, rows = self._pool.first(lambda session: session.execute(sql, parameters))
        self._pool.give(session)
        return rows

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end of the block, undone when it raises; blocks may nest."""
        outer: Session | None = getattr(self._local, "session", None)
        if outer is not None:
            yield outer
            return
        with self._write_lock:
            epoch = self._flushable()
            session, _ = self._pool.first(self._begin)
            self._local.session = session
            try:
                yield session
                session.commit()
            except BaseException:
                session.roll_back()
                raise
            finally:
                self._local.session = None
                self._pool.give(session)
            self._written += 1
            if epoch != self._epoch:
                raise Unavailable(LOST)

    @property
    def writing(self) -> bool:
        """Whether the calling thread is inside of `write`."""
        return getattr(self._local, "session", None) is not None

    def mark(self) -> object:
        """How many writes there have been to records of any kind; a transaction, which sees more, trusts nothing."""
        if self.writing:
            return object()
        session, total = self._pool.first(Session.total)
        self._pool.give(session)
        return total

    def stale(self) -> None:
        """Nothing to do: whoever tells this also counts its write in the table of revisions."""

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
                    self._flusher = self._pool.connect()
        return self._epoch

    def _is_down(self) -> bool:
        """Finds out whether one connection broke or the server went down, which ends all of them."""
        with self._sync_lock:
            if self._flusher is not None and self._flusher.alive():
                return False
            self._doubt()
            return True

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
        session = self._pool.connect()
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
            self._pool.close()
            for session in (self._flusher, self._keeper):
                if session is not None:
                    session.close()
            self._flusher = self._keeper = None

    def _begin(self, session: Session) -> None:
        session.run(f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS}, {self._scope})")

    def _migrate(self) -> int:
        """Brings the tables to the newest layout; tells the number that sets them apart from others on the server."""
        session = self._pool.connect()
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
        session.close()
        return scope


def _refuse_encoding(session: Session) -> None:
    encoding = session.execute("SHOW server_encoding").fetchone()[0]
    if encoding != "UTF8":
        raise DatabaseError(f"its encoding is {encoding}; make one with CREATE DATABASE ... ENCODING 'UTF8'")


_WRITERS, _CONTROL = 1, 2
"""The first numbers of the advisory locks; the second is that of a table, as several platforms may share a server."""
