from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.store.logs import Logs, Window

if TYPE_CHECKING:
    from clary.store.database import Database

GROUP = "1/r/group"


@pytest.fixture
def logs(database: Database) -> Logs:
    return Logs(database)


def messages(logs: Logs, window: Window) -> list[str]:
    return [event.message for event in logs.events(GROUP, "s", window)]


def test_events_of_the_same_time_keep_their_order(logs: Logs) -> None:
    logs.append(GROUP, "s", [(5, "b"), (5, "a")], 9)
    logs.append(GROUP, "s", [(5, "c"), (1, "first")], 9)
    assert messages(logs, Window()) == ["first", "b", "a", "c"]


def test_windows(logs: Logs) -> None:
    logs.append(GROUP, "s", [(moment, str(moment)) for moment in range(10)], 99)
    assert messages(logs, Window(start=3, end=5)) == ["3", "4"]
    assert messages(logs, Window(limit=2)) == ["0", "1"]
    assert messages(logs, Window(limit=2, from_head=False)) == ["8", "9"]
    (third,) = logs.events(GROUP, "s", Window(start=3, end=4))
    assert messages(logs, Window(after=(third.time, third.id), limit=1)) == ["4"]
    assert messages(logs, Window(before=(third.time, third.id), limit=1, from_head=False)) == ["2"]


def test_lines_are_taken_over_with_the_position(logs: Logs) -> None:
    assert logs.position(GROUP, "s") == 0
    logs.take_over(GROUP, "s", [(1, "one")], 17)
    assert logs.position(GROUP, "s") == 17
    assert messages(logs, Window()) == ["one"]


def test_a_workload_may_write_anything(logs: Logs) -> None:
    logs.take_over(GROUP, "s", [(1, "a\0b%s?")], 9)
    assert messages(logs, Window()) == ["a\ufffdb%s?"]


def test_streams_by_name_and_by_time(logs: Logs) -> None:
    logs.append(GROUP, "a/1", [(20, "x")], 30)
    logs.append(GROUP, "a/2", [(10, "x"), (15, "y")], 31)
    logs.append(GROUP, "b", [(1, "x")], 32)
    assert [stream.name for stream in logs.streams(GROUP, "a/")] == ["a/1", "a/2"]
    assert [stream.name for stream in logs.streams(GROUP, by_time=True, descending=True)] == ["a/1", "a/2", "b"]
    second = logs.streams(GROUP, "a/2")[0]
    assert (second.first_event, second.last_event, second.ingested) == (10, 15, 31)


def test_deletion_and_expiry(logs: Logs) -> None:
    logs.append(GROUP, "s", [(1, "old"), (5, "new")], 9)
    logs.expire(GROUP, 5)
    assert messages(logs, Window()) == ["new"]
    assert logs.delete_stream(GROUP, "s")
    assert not logs.delete_stream(GROUP, "s")
    assert not logs.has_stream(GROUP, "s")
    assert logs.create_stream(GROUP, "s", 1)
    assert not logs.create_stream(GROUP, "s", 1)
    logs.delete_group(GROUP)
    assert logs.streams(GROUP) == []


@settings(max_examples=40, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12),
    stop=st.integers(0, 12),
)
def test_a_search_goes_on_where_it_stopped(shared_database: Database, events: list[tuple[str, int]], stop: int) -> None:
    logs = Logs(shared_database)
    logs.delete_group(GROUP)
    for stream, moment in events:
        logs.append(GROUP, stream, [(moment, "x")], 9)
    whole = list(logs.merged(GROUP, "abc", Window(), None))
    last = whole[stop - 1] if 0 < stop <= len(whole) else None
    rest = list(logs.merged(GROUP, "abc", Window(), (last.time, last.stream, last.id) if last else None))
    assert [(event.time, event.stream) for event in whole] == sorted((moment, stream) for stream, moment in events)
    assert rest == (whole[stop:] if last else whole)
