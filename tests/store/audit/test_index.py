from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from clary.audit.upkeep import Upkeep
from clary.clock import SystemClock
from clary.store.audit import Event, Index, IndexFile, Search, Segments, segments, verify
from clary.store.postgres import PostgresDatabase
from tests.store.conftest import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER = "arn:aws:iam::1:user/ada"
NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)


class HandClock(SystemClock):
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def writer(tmp_path: Path, clock: HandClock) -> Iterator[Segments]:
    writer = Segments(tmp_path, clock)
    yield writer
    writer.close()


@pytest.fixture(params=["sqlite", "postgres"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").schema(f"test_{next(NAMES)}")
        with closing(PostgresDatabase(url)) as database:
            yield Index(database, tmp_path)
    else:
        with closing(IndexFile(tmp_path / "index.db")) as file:
            yield Index(file, tmp_path)


def event(number: int, **members: Any) -> bytes:
    told = {
        "id": f"id-{number:04}",
        "time": int(NOW.timestamp() * 1000) + number,
        "who": {"kind": "user", "account": "1", "arn": USER, "name": "ada", "key": "AKIA"},
        "service": "iam",
        "operation": "GetUser",
        "region": "eu-west-1",
        "account": "1",
        "checks": [{"action": "iam:GetUser", "resource": USER, "kind": "identity-based policy"}],
    }
    return orjson.dumps({**told, **members})


def ids(index: Index, **wanted: Any) -> list[str]:
    return [each.id for each in index.search(Search(**wanted)).events]


def test_what_was_appended_is_found_at_once_newest_first(writer: Segments, index: Index) -> None:
    for number in range(3):
        writer.append(event(number), 1)
        assert ids(index, limit=1) == [f"id-{number:04}"]
    assert ids(index) == ["id-0002", "id-0001", "id-0000"]


def test_pages_joined_are_the_whole(writer: Segments, index: Index) -> None:
    for number in range(25):
        writer.append(event(number, time=number // 3), 1)
    found: list[str] = []
    page = index.search(Search(limit=4))
    while True:
        found += [each.id for each in page.events]
        if page.next is None:
            break
        page = index.search(Search(limit=4, after=page.next))
    assert sorted(found) == [f"id-{number:04}" for number in range(25)]
    assert found == [each.id for each in index.all(Search())]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"operation": "GetUser"}, ["id-0001"]),
        ({"source": "s3.amazonaws.com"}, ["id-0002"]),
        ({"entity": USER}, ["id-0002", "id-0001"]),
        ({"username": "root"}, ["id-0003"]),
        ({"access_key": "AKIB"}, ["id-0003"]),
        ({"resource": "ada"}, ["id-0001"]),
        ({"resource": "arn:aws:s3:::data/*"}, ["id-0002"]),
        ({"resource_type": "AWS::IAM::User"}, ["id-0001"]),
        ({"failed": True}, ["id-0003"]),
        ({"code": "AccessDenied"}, ["id-0003"]),
        ({"read_only": False}, ["id-0002"]),
        ({"management": False}, ["id-0002"]),
        ({"since": NOW + timedelta(milliseconds=2)}, ["id-0003", "id-0002"]),
        ({"until": NOW + timedelta(milliseconds=1)}, ["id-0001"]),
        ({"id": "id-0002"}, ["id-0002"]),
        ({"account": "2"}, []),
    ],
    ids=str,
)
def test_events_are_found_by_what_they_have(
    writer: Segments, index: Index, wanted: dict[str, Any], found: list[str]
) -> None:
    writer.append(event(1), 1)
    check = {"action": "s3:PutObject", "resource": "arn:aws:s3:::data/a/b", "kind": "identity-based policy"}
    writer.append(event(2, service="s3", operation="PutObject", checks=[check]), 1)
    root = {"kind": "root", "account": "1", "arn": "arn:aws:iam::1:root", "key": "AKIB"}
    writer.append(event(3, operation="ListUsers", code="AccessDenied", who=root, checks=[]), 1)
    assert ids(index, **wanted) == found


def test_reading_twice_doubles_nothing(writer: Segments, index: Index, tmp_path: Path) -> None:
    writer.append(event(1), 1)
    assert ids(index) == ["id-0001"]
    index.forget(segments.names(tmp_path)[0])
    assert ids(index) == ["id-0001"]
    assert ids(index, resource="ada") == ["id-0001"]


def test_names_may_have_any_character(writer: Segments, index: Index) -> None:
    check = {"action": "s3:PutObject", "resource": "arn:aws:s3:::data/a\0b", "kind": "identity-based policy"}
    writer.append(event(1, service="s3", operation="PutObject", checks=[check]), 1)
    writer.append(event(2, agent="\0", checks=[check]), 1)
    assert ids(index) == ["id-0002", "id-0001"]


def test_an_index_of_another_layout_is_made_again(writer: Segments, tmp_path: Path) -> None:
    writer.append(event(1), 1)
    with closing(sqlite3.connect(tmp_path / "index.db")) as other:
        other.execute("CREATE TABLE audit_events (something TEXT)")
    with closing(IndexFile(tmp_path / "index.db")) as file:
        assert ids(Index(file, tmp_path)) == ["id-0001"]


def test_a_lost_index_is_made_again(writer: Segments, tmp_path: Path) -> None:
    writer.append(event(1), 1)
    for name in ("one.db", "two.db"):
        file = IndexFile(tmp_path / name)
        assert ids(Index(file, tmp_path)) == ["id-0001"]
        file.close()


def test_a_damaged_index_is_made_again(writer: Segments, tmp_path: Path) -> None:
    writer.append(event(1), 1)
    path = tmp_path / "index.db"
    path.write_bytes(b"no database at all" * 100)
    file = IndexFile(path)
    assert ids(Index(file, tmp_path)) == ["id-0001"]
    file.close()


def test_lines_that_are_no_events_are_passed_over(writer: Segments, index: Index) -> None:
    writer.append(b'{"lost":3}', 1)
    writer.append(b"nonsense", 1)
    writer.append(event(1), 1)
    assert ids(index) == ["id-0001"]


def test_the_last_use_of_each_action_is_kept(writer: Segments, index: Index) -> None:
    for number in (5, 3):
        writer.append(event(number), 1)
    assert index.uses(USER) == [("iam:GetUser", int(NOW.timestamp() * 1000) + 5, "eu-west-1")]
    assert index.uses("arn:aws:iam::1:user/bob") == []


def test_complete_segments_are_packed_and_stay_searchable(
    writer: Segments, index: Index, clock: HandClock, tmp_path: Path
) -> None:
    writer.append(event(1), 1)
    clock.time += timedelta(days=2)
    writer.append(event(2), 2)
    upkeep = Upkeep(writer, index, clock, timedelta(days=90))
    upkeep.tidy()
    assert [name.endswith(".gz") for name in segments.names(tmp_path)] == [False, False]
    assert len(ids(index)) == 2
    upkeep.tidy()
    assert [name.endswith(".gz") for name in segments.names(tmp_path)] == [True, False]
    assert len(ids(index)) == 2
    assert verify(tmp_path, index.known()).damages == ()


def test_old_events_go(writer: Segments, index: Index, clock: HandClock, tmp_path: Path) -> None:
    writer.append(event(1), 1)
    assert len(ids(index)) == 1
    clock.time += timedelta(days=92)
    now = int(clock.time.timestamp() * 1000)
    writer.append(event(2, time=now), 92)
    upkeep = Upkeep(writer, index, clock, timedelta(days=90))
    upkeep.tidy()
    assert ids(index) == ["id-0002"]
    assert ids(index, resource="ada") == ["id-0002"]
    assert len(segments.names(tmp_path)) == 1
    assert verify(tmp_path, index.known()).damages == ()


def test_an_event_reads_as_it_was_written() -> None:
    read = Event.of(event(7))
    assert (read.source, read.read_only, read.management) == ("iam.amazonaws.com", True, True)
    assert (read.who.entity, read.who.username) == (USER, "ada")
    assert read.moment == NOW + timedelta(milliseconds=7)
