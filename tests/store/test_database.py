from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from clary.store.database import DatabaseError
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from clary.store.database import Database

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
