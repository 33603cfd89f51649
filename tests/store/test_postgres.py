from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest

from clary.settings import Settings
from clary.store.database import DatabaseError, DatabaseFull, InUse, Unavailable, Unstorable, is_full
from clary.store.engines import open_database, place
from clary.store.postgres import PostgresDatabase
from tests.store.conftest import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres import PostgresServer

INSERT = "INSERT INTO revisions (kind, number) VALUES (?, ?)"
COUNT = "SELECT count(*) FROM revisions"


def put(database: PostgresDatabase, kind: str) -> None:
    with database.write() as connection:
        connection.execute(INSERT, (kind, 1))


def count(database: PostgresDatabase) -> int:
    return int(database.read(COUNT).fetchone()[0])


def soon(action: Callable[[], object]) -> None:
    """Tries as a client would: after a failure nobody connects for a second."""
    deadline = time.monotonic() + 20
    while True:
        try:
            action()
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.schema(f"test_{next(NAMES)}")


@pytest.fixture
def opened(url: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(url)
    yield database
    database.close()


def test_a_sync_flushes_the_log_of_the_server(opened: PostgresDatabase, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        put(opened, "a")
        row = other.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        opened.sync()
        flushed = other.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", row).fetchone()
    assert flushed == (True,)
    assert not opened.unsynced


def test_a_restart_of_the_server_is_survived(own: PostgresServer) -> None:
    with closing(PostgresDatabase(own.url)) as database:
        put(database, "before")
        database.sync()
        own.stop()
        with pytest.raises(Unavailable):
            database.mark()
        with pytest.raises(Unavailable):
            count(database)
        with pytest.raises(Unavailable):
            put(database, "while it is down")
        own.start()
        soon(lambda: put(database, "after"))
        database.sync()
        assert count(database) == 2


def test_idle_connections_that_broke_are_not_told(own: PostgresServer) -> None:
    with closing(PostgresDatabase(own.url)) as database:
        put(database, "before")
        database.sync()
        mark = database.mark()
        own.stop()
        own.start()
        assert database.mark() == mark
        assert count(database) == 1
        put(database, "after")
        database.sync()
        assert count(database) == 2


def test_a_commit_that_may_be_lost_is_told(own: PostgresServer) -> None:
    with closing(PostgresDatabase(own.url)) as database:
        put(database, "in doubt")
        own.stop()
        own.start()
        with pytest.raises(Unavailable):
            database.sync()
        put(database, "later")
        database.sync()
        assert not database.unsynced


def test_one_broken_connection_puts_nothing_in_doubt(opened: PostgresDatabase, url: str) -> None:
    opened.claim()
    put(opened, "a")
    with psycopg.connect(url, autocommit=True) as other:
        # That which writes, not those which flush and claim.
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND pid <> pg_backend_pid()"
        )
    assert count(opened) == 1
    opened.sync()


def test_threads_and_processes_check_before_they_write(url: str) -> None:
    first, second = PostgresDatabase(url), PostgresDatabase(url)

    def add(database: PostgresDatabase) -> None:
        for _ in range(20):
            with database.write() as connection:
                number = connection.execute("SELECT coalesce(max(number), 0) FROM revisions").fetchone()[0]
                connection.execute(INSERT, (str(number + 1), number + 1))

    threads = [threading.Thread(target=add, args=(database,)) for database in (first, second, first, second)]
    with closing(first), closing(second):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert count(first) == 80


def test_one_platform_controls_a_database(url: str) -> None:
    with closing(PostgresDatabase(url)) as second:
        with closing(PostgresDatabase(url)) as first:
            first.claim()
            first.claim()
            with pytest.raises(InUse, match="another platform"):
                second.claim()
        second.claim()


@pytest.mark.parametrize("text", ["a\0b", Random(1).randbytes(5000).hex()], ids=["NUL", "too long for an index"])
def test_what_cannot_be_kept_is_the_fault_of_the_caller(opened: PostgresDatabase, text: str) -> None:
    with pytest.raises(Unstorable):
        put(opened, text)
    assert count(opened) == 0


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("disk_full", DatabaseFull),
        ("query_canceled", Unavailable),
        ("lock_not_available", Unavailable),
        ("admin_shutdown", Unavailable),
        ("read_only_sql_transaction", Unavailable),
        ("string_data_right_truncation", Unstorable),
        ("undefined_table", DatabaseError),
    ],
)
def test_what_the_server_says_is_told(opened: PostgresDatabase, condition: str, expected: type[DatabaseError]) -> None:
    with pytest.raises(DatabaseError) as raised:
        opened.read(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{condition}'; END $$")
    assert type(raised.value) is expected
    assert is_full(raised.value) == (condition == "disk_full")
    assert count(opened) == 0


def test_a_transaction_goes_on_after_an_error_in_another(opened: PostgresDatabase) -> None:
    with pytest.raises(DatabaseError):
        opened.read("SELECT nothing")
    put(opened, "a")
    with pytest.raises(DatabaseError):
        put(opened, "a")
    assert count(opened) == 1


def test_an_error_that_was_overlooked_undoes_the_transaction_aloud(opened: PostgresDatabase) -> None:
    def overlook() -> None:
        with opened.write() as connection:
            connection.execute(INSERT, ("a", 1))
            with suppress(DatabaseError):
                connection.execute(INSERT, ("a", 2))

    with pytest.raises(DatabaseError, match="undone"):
        overlook()
    assert count(opened) == 0
    put(opened, "a")


def test_a_newer_layout_is_refused(opened: PostgresDatabase, url: str) -> None:
    with opened.write() as connection:
        connection.execute("UPDATE layout SET version = ?", (999,))
    with pytest.raises(DatabaseError, match="newer version"):
        PostgresDatabase(url)


def test_a_database_without_unicode_is_refused(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(DatabaseError, match="SQL_ASCII"):
        PostgresDatabase(postgres.url.replace("/postgres?", "/plain?"))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:secret@127.0.0.1:1/db",
        "postgresql://user:secret@127.0.0.1:port/db",
        "postgresql://user:secret@127.0.0.1/db?no=such",
        "mysql://user:secret@127.0.0.1/db",
    ],
)
def test_errors_name_no_password(tmp_path: Path, address: str) -> None:
    settings = Settings(home=tmp_path, database=address)
    with pytest.raises(DatabaseError) as raised:
        open_database(settings)
    assert "secret" not in str(raised.value) + place(settings)
    assert raised.value.__cause__ is None
