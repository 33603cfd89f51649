from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from threading import Semaphore

from clary.controllers.modest import PAUSE, Modest
from clary.store.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counting:
    """Looks, while it takes a step, whether another one may."""

    kind = "thing"

    def __init__(self) -> None:
        self.other: Modest | None = None
        self.told: list[Record | None] = []

    def step(self, record: Record, now: datetime) -> Record:
        if self.other is not None:
            self.told.append(self.other.step(record, now))
        return replace(record, status="done", due=None)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        return replace(record, status=f"{reason} at {now:%H}")


def test_a_step_waits_while_there_is_no_room() -> None:
    record = Record("thing", "1", "", "n", "", {}, NOW, NOW, due=NOW)
    room = Semaphore(1)
    counting = Counting()
    counting.other = Modest(Counting(), room)
    modest = Modest(counting, room)
    for _ in range(2):
        outcome = modest.step(record, NOW)
        assert outcome is not None
        assert (outcome.status, modest.kind) == ("done", "thing")
    assert counting.told == [replace(record, due=NOW + PAUSE)] * 2
    assert modest.give_up(record, NOW, "broken").status == "broken at 00"
