from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from clary.store.generation import Generation
from clary.store.records import AlreadyExists, Record, Records
from clary.store.sqlite import SqliteDatabase
from tests.cloud import refuse_spoilt

if TYPE_CHECKING:
    from pathlib import Path

    from clary.store.database import Database
    from tests.store.conftest import Open

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARN = "arn:aws:s3:::b"


def bucket(**spec: object) -> Record:
    return Record("bucket", "1", "", "b", ARN, dict(spec), NOW, NOW)


def test_another_process_sees_a_write_at_once(open_same: Open) -> None:
    here, there = Records(open_same()), Records(open_same())
    seen = [there.revision("bucket", "user")]
    made = here.create(bucket())
    seen.append(there.revision("bucket", "user"))
    made = here.update(replace(made, status="x"))
    seen.append(there.revision("bucket", "user"))
    here.delete(made)
    seen.append(there.revision("bucket", "user"))
    assert seen == sorted(set(seen))
    assert there.revision("user") == here.revision("user") == 0
    assert here.revision("bucket") == there.revision("bucket")


def test_what_is_recalled_is_never_stale(open_same: Open) -> None:
    here, there = Records(open_same()), Records(open_same())
    assert there.recall("bucket", ARN) is None
    made = here.create(bucket(Versioning="Enabled"))
    assert there.recall("bucket", ARN) == here.recall("bucket", ARN) == made
    here.edit(made, lambda current: replace(current, spec={}))
    found = there.recall("bucket", ARN)
    assert found is not None
    assert found.spec == {}
    here.delete(made)
    assert there.recall("bucket", ARN) is None


def test_what_is_recalled_is_read_once_and_shared(database: Database) -> None:
    records = Records(database)
    made = records.create(bucket(Rules=[1]))
    first = records.recall("bucket", ARN)
    assert first == made
    assert records.recall("bucket", ARN) is first
    assert records.recall("role", ARN) is None


def test_a_changed_record_is_found_out(database: Database) -> None:
    records = Records(database)
    made = records.create(bucket(Rules=[1]))
    shared = records.recall("bucket", ARN)
    assert shared is not None
    records.edit(made, lambda current: replace(current, spec={"Rules": [1, 2]}))
    shared.spec["Rules"].append(3)
    refuse_spoilt(records)
    shared = records.recall("bucket", ARN)
    assert shared is not None
    shared.spec["Rules"].append(3)
    with pytest.raises(AssertionError):
        refuse_spoilt(records)


def test_what_was_undone_was_never_there(database: Database) -> None:
    records = Records(database)
    made = records.create(bucket())
    before = records.revision("bucket")

    def change_and_fail() -> None:
        with database.write():
            records.update(replace(made, status="half"))
            inside = records.recall("bucket", ARN)
            assert inside is not None
            assert inside.status == "half"
            assert records.revision("bucket") not in (before, records.revision("bucket"))
            raise KeyError

    with pytest.raises(KeyError):
        change_and_fail()
    assert records.revision("bucket") == before
    assert records.recall("bucket", ARN) == made
    with pytest.raises(AlreadyExists):
        records.create(bucket())
    changed = records.update(replace(made, status="whole"))
    assert records.revision("bucket") == before + 1
    assert records.recall("bucket", ARN) == changed


def test_writes_that_concern_no_cache_leave_the_mark(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "clary.db")
    mark = database.mark()
    with database.write() as connection:
        connection.execute("INSERT INTO contents (bytes) VALUES (?)", (b"",))
    assert database.mark() == mark
    with database.write():
        database.stale()
    assert database.mark() != mark
    database.close()


def test_a_transaction_that_changes_no_record_trusts_what_was_recalled(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "clary.db")
    records = Records(database)
    made = records.create(bucket())
    before = records.revision("bucket")
    with database.write():
        assert records.revision("bucket") == before
        records.update(replace(made, status="x"))
        assert records.revision("bucket") != before
    database.close()


def test_processes_that_end_each_other_leave_no_false_mark(tmp_path: Path) -> None:
    here, there, reader = (Generation(tmp_path / "g") for _ in range(3))
    here.begin()
    assert reader.now() != reader.now()
    there.begin()  # the first one has committed, but not said so yet
    here.end()
    assert reader.now() != reader.now()
    there.end()
    assert reader.now() == reader.now()
    for generation in (here, there, reader):
        generation.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from clary.store.records import Records, Query
from clary.store.sqlite import SqliteDatabase
from tests.cloud import refuse_spoilt
from dataclasses import replace

database = SqliteDatabase(Path(sys.argv[1]))
# As if the power of the process ended right behind the commit.
database._generation.end = lambda: os.kill(os.getpid(), signal.SIGKILL)
records = Records(database)
record = records.by_arn("arn:aws:s3:::b")
records.update(replace(record, status="written"))
"""


def test_a_write_counts_though_its_process_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "clary.db"
    database = SqliteDatabase(path)
    records = Records(database)
    records.create(bucket())
    assert records.recall("bucket", ARN)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    found = records.recall("bucket", ARN)
    assert found is not None
    assert found.status == "written"
    database.close()


def test_a_wait_ends_when_another_process_makes_something_due(open_same: Open) -> None:
    here, there = Records(open_same()), Records(open_same())
    seen = here.wait(-1, 0)
    waiting = threading.Thread(target=here.wait, args=(seen, None), daemon=True)
    waiting.start()
    there.create(replace(bucket(), due=NOW))
    waiting.join(20)
    assert not waiting.is_alive()
    assert here.next_due() == NOW.timestamp()
