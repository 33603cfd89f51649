from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.controllers.capacity import OVERCOMMIT, Capacity, Need, free_memory

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(number: int) -> datetime:
    return START + timedelta(seconds=number)


@pytest.fixture
def called() -> list[str]:
    return []


@pytest.fixture
def capacity(called: list[str]) -> Capacity:
    return Capacity(Need(2, 1), wake=called.append, memory=lambda: 0.5)


def test_jobs_run_side_by_side_as_far_as_their_vcpus_fit(capacity: Capacity) -> None:
    assert [capacity.place(f"job-{n}", Need(2), at(n)) for n in range(4)] == [0, 0, 1, 2]
    assert capacity.place("job-0", Need(2), at(0)) == 0


def test_who_leaves_calls_the_first_in_line(capacity: Capacity, called: list[str]) -> None:
    for n in range(4):
        capacity.place(f"job-{n}", Need(2), at(n))
    capacity.leave("job-1")
    assert called[-1] == "job-2"
    assert capacity.place("job-3", Need(2), at(3)) == 2
    assert capacity.place("job-2", Need(2), at(2)) == 0
    assert called[-1] == "job-3"


def test_a_small_job_does_not_overtake_a_big_one(capacity: Capacity) -> None:
    capacity.place("running", Need(2), at(0))
    assert capacity.place("big", Need(4), at(1)) == 1
    assert capacity.place("small", Need(1), at(2)) == 2
    capacity.leave("running")
    assert capacity.place("big", Need(4), at(1)) == 0
    assert capacity.place("small", Need(1), at(2)) == 1


def test_what_is_bigger_than_the_machine_runs_alone(capacity: Capacity) -> None:
    assert capacity.place("huge", Need(64, 8), at(0)) == 0
    assert capacity.place("next", Need(1), at(1)) == 1


def test_gpus_are_not_shared(capacity: Capacity) -> None:
    assert capacity.place("one", Need(1, 1), at(0)) == 0
    assert capacity.place("two", Need(1, 1), at(1)) == 1


def test_nothing_more_begins_while_memory_is_short(called: list[str]) -> None:
    capacity = Capacity(Need(8), wake=called.append, memory=lambda: 0.05)
    assert capacity.place("alone", Need(1), at(0)) == 0
    assert capacity.place("next", Need(1), at(1)) == 1


def test_the_highest_number_of_jobs_may_be_set(called: list[str]) -> None:
    capacity = Capacity(Need(8), 1, wake=called.append, memory=lambda: 0.5)
    assert [capacity.place(name, Need(1), at(n)) for n, name in enumerate("ab")] == [0, 1]


def test_the_memory_of_this_machine_is_known() -> None:
    assert 0 < free_memory() <= 1


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2)), max_size=12))
def test_every_job_runs_at_last_and_never_too_many_at_once(needs: list[tuple[int, int]]) -> None:
    capacity = Capacity(Need(2, 1), wake=lambda _: None, memory=lambda: 0.5)
    waiting = {f"{n}": Need(*need) for n, need in enumerate(needs)}
    since = {name: at(n) for n, name in enumerate(waiting)}
    running: dict[str, Need] = {}
    while waiting or running:
        running |= {name: need for name, need in waiting.items() if capacity.place(name, need, since[name]) == 0}
        assert running
        vcpus, gpus = sum(need.vcpus for need in running.values()), sum(min(need.gpus, 1) for need in running.values())
        assert len(running) == 1 or (vcpus <= 2 * OVERCOMMIT and gpus <= 1)
        waiting = {name: need for name, need in waiting.items() if name not in running}
        first = next(iter(running))
        capacity.leave(first)
        del running[first]
