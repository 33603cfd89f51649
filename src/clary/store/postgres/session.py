"""One connection to PostgreSQL, and what its errors mean to us."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import IntDumper

from clary.store.database import DatabaseError, DatabaseFull, Rows, Unavailable, Unstorable
from clary.store.postgres import dialect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


class Session:
    """One connection, in the hands of one thread at a time."""

    def __init__(self, conninfo: str) -> None:
        """Connects.

        Raises:
            Unavailable: the server does not answer or does not let us in.
        """
        try:
            self._connection: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True, prepare_threshold=2)
        except psycopg.Error as error:
            raise Unavailable(f"the database cannot be reached: {error}") from None
        self._connection.adapters.register_dumper(bool, IntDumper)  # as SQLite keeps them
        self._names = itertools.count()
        self._count = b""
        try:
            self.run(PREPARE)
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Runs one statement."""
        try:
            return self._connection.execute(dialect.statement(sql), parameters, binary=True)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Runs a statement once for each row of parameters."""
        try:
            self._connection.cursor().executemany(dialect.statement(sql), parameters)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def run(self, script: str) -> None:
        """Runs statements without parameters in one exchange, past the cursors of the library, which cost more."""
        try:
            result = self._connection.pgconn.exec_(script.encode())
        except psycopg.Error as error:
            raise self._failed(error) from error
        if result.status not in _DONE:
            raise self._failed(psycopg.errors.error_from_result(result))

    def commit(self) -> None:
        """Ends the transaction.

        Raises:
            DatabaseError: a statement of it had failed, though nobody said so; then nothing is stored.
        """
        failed = self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        self.run("COMMIT")
        if failed:
            raise DatabaseError("the transaction was undone, as a statement of it had failed")

    def total(self) -> bytes:
        """The sum of all revisions, asked for in the quickest way, as every request asks several times."""
        try:
            if not self._count:
                self._count = b"clary_%d" % next(self._names)
                self._connection.pgconn.prepare(self._count, b"SELECT sum(number) FROM revisions")
            result = self._connection.pgconn.exec_prepared(self._count, [])
        except psycopg.Error as error:
            raise self._failed(error) from error
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise self._failed(psycopg.errors.error_from_result(result))
        return result.get_value(0, 0) or b""

    def roll_back(self) -> None:
        """Undoes the transaction, if there is one."""
        # The library forgets what was prepared when something is undone.
        self._count = b""
        with suppress(psycopg.Error):
            self._connection.rollback()

    def _failed(self, error: psycopg.Error) -> DatabaseError:
        """What an error means; one that the server did not send means the end of the connection."""
        told = _told(error)
        if isinstance(told, Unavailable) and not error.sqlstate:
            self.close()
        return told

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


def address(url: str) -> str:
    """What `Session` takes for a URL.

    Raises:
        DatabaseError: it is none.
    """
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
        return make_conninfo("", **{**CONNECTING, **given})
    except psycopg.Error:
        # The message of the library may repeat the password.
        raise DatabaseError("it is not an address of the form postgresql://user@host/database") from None


def _told(error: psycopg.Error) -> DatabaseError:
    state = error.sqlstate or ""
    text = error.diag.message_primary or str(error)
    if state == "53100":
        return DatabaseFull(text)
    if state.startswith(_UNSTORABLE) or (not state and isinstance(error, psycopg.DataError)):
        return Unstorable(text)
    if isinstance(error, psycopg.ProgrammingError | psycopg.NotSupportedError):
        return DatabaseError(text)
    # What the client library says by itself has no state: the connection is gone.
    if not state or state == _READ_ONLY or isinstance(error, psycopg.OperationalError):
        return Unavailable(text)
    return DatabaseError(text)


_UNSTORABLE = ("22", "54")
"""Classes of SQLSTATE: data exception, program limit exceeded."""

_READ_ONLY = "25006"
_DONE = (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK)
