from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from clary.store.database import DatabaseError
from clary.store.objects.listing import PageQuery, list_keys
from clary.store.records import Records
from clary.store.schema import MIGRATIONS
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from clary.store.database import Database
    from tests.store.conftest import Open

INSERT = "INSERT INTO metric_names (scope, namespace, name, dimensions, updated) VALUES ('1', '1', ?, '1', 0)"


def count(database: Database) -> int:
    return int(database.read("SELECT count(*) FROM metric_names").fetchone()[0])


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(INSERT, ("1",))
        raise RuntimeError
    assert count(database) == 0
    assert not database.unsynced


def test_blocks_nest_into_one_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as outer:
        outer.execute(INSERT, ("1",))
        with database.write() as inner:
            inner.execute(INSERT, ("2",))
        raise RuntimeError
    assert count(database) == 0


def test_sync_covers_all_commits_before_it(database: Database) -> None:
    before = database.written
    with database.write() as connection:
        connection.execute(INSERT, ("1",))
    assert database.written == before + 1
    assert database.unsynced
    database.sync()
    assert not database.unsynced


def test_without_durability_there_is_nothing_to_sync(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "clary.db", durable=False)
    with database.write() as connection:
        connection.execute(INSERT, ("1",))
    assert not database.unsynced
    database.close()


def test_threads_write_one_after_the_other(database: Database) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 50):
            with database.write() as connection:
                connection.execute(INSERT, (str(number),))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database) == 200


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    SqliteDatabase(tmp_path / "clary.db").close()
    with sqlite3.connect(tmp_path / "clary.db") as other:
        other.execute("PRAGMA user_version = 999")
    other.close()
    with pytest.raises(DatabaseError, match="newer version"):
        SqliteDatabase(tmp_path / "clary.db")


KILLED = f"""
import os, signal, sys
from pathlib import Path
from clary.store.sqlite import SqliteDatabase
database = SqliteDatabase(Path(sys.argv[1]))
for number in range(100):
    with database.write() as connection:
        connection.execute({INSERT!r}, (str(number),))
print("written", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_commits_survive_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "clary.db"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "written\n"
    database = SqliteDatabase(path)
    assert count(database) == 100
    database.close()


def test_a_home_of_the_first_layout_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "clary.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.executescript(f"BEGIN; {MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
        old.execute(
            "INSERT INTO records (kind, account, region, name, arn, status, spec, observed, tags, created, modified, "
            "version) VALUES ('bucket', '1', '', 'b', 'arn:b', '', '{}', '{}', '{}', 0, 0, 1)"
        )
        old.execute("INSERT INTO contents (bytes) VALUES (x'31')")
        old.execute("INSERT INTO objects VALUES ('b', 0, 'k', 1, 'null', 0, 1, '\"e\"', 0, '', '{}')")
        old.commit()
    with closing(SqliteDatabase(path)) as database:
        records = Records(database)
        made = records.recall("bucket", "arn:b")
        assert made is not None
        assert records.revision("bucket") == 0
        records.update(made)
        assert records.revision("bucket") == 1
        assert database.read("SELECT bytes, sealed_key FROM contents").fetchall() == [(b"1", None)]
        assert [row[0] for row in list_keys(database, PageQuery("b")).rows] == ["k"]
        assert database.read("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


OPENED = """
import sys
from pathlib import Path
from clary.store.sqlite import SqliteDatabase
SqliteDatabase(Path(sys.argv[1])).close()
"""


def test_processes_make_the_tables_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENED, str(tmp_path / "clary.db")]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(30) for process in processes] == [0, 0, 0, 0]


def test_threads_read_while_one_writes(database: Database) -> None:
    with database.write() as connection:
        connection.execute(INSERT, ("1",))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(count(database)))
        reader.start()
        reader.join()
        assert seen == [0]
        assert count(database) == 1
        assert database.writing
    assert not database.writing


def test_another_process_sees_commits_at_once(open_same: Open) -> None:
    here, there = open_same(), open_same()
    with here.write() as connection:
        connection.execute(INSERT, ("1",))
    assert count(there) == 1


def test_bytes_and_flags_come_back(database: Database) -> None:
    with database.write() as connection:
        row = connection.execute("INSERT INTO contents (bytes, file) VALUES (?, ?) RETURNING id", (b"\0\xff", None))
        number = row.fetchone()[0]
        connection.executemany(INSERT, [("a%",), ("b?",)])
    assert database.read("SELECT bytes, file FROM contents WHERE id = ?", (number,)).fetchone() == (b"\0\xff", None)
    assert [row[0] for row in database.read("SELECT name FROM metric_names ORDER BY name")] == ["a%", "b?"]
    assert database.read("SELECT 1 WHERE 1 = ?", (True,)).fetchone() == (1,)
