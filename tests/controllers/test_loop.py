from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from clary.controllers.loop import PATIENCE, RETRY_S, Loop
from clary.store.records import Record, Records
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Stumbling:
    """Stores the record and then fails, whenever it is asked."""

    kind = "thing"

    def __init__(self, records: Records) -> None:
        self._records = records
        self.steps = 0
        self.given_up = threading.Event()

    def step(self, record: Record, now: datetime) -> Record:  # noqa: ARG002  # the contract's shape
        self.steps += 1
        self._records.update(replace(record, observed={**record.observed, "Phase": self.steps}))
        raise RuntimeError("it does not work")

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:  # noqa: ARG002  # the contract's shape
        self.given_up.set()
        return replace(record, status="Failed", observed={**record.observed, "FailureReason": reason}, due=None)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    database = SqliteDatabase(tmp_path / "db", durable=False)
    yield Records(database)
    database.close()


class Hurried:
    """A clock on which no time to wait for is far away."""

    def __init__(self) -> None:
        self._passed = timedelta()

    def now(self) -> datetime:
        self._passed += timedelta(seconds=RETRY_S)
        return NOW + self._passed


def test_a_step_that_stores_and_then_fails_is_given_up(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    controller = Stumbling(records)
    records.create(Record("thing", "1", "r", "x", "arn:x", {}, NOW, NOW, due=NOW))
    loop = Loop(records, Hurried(), [controller], threads=1)
    loop.start()
    assert controller.given_up.wait(10)
    loop.stop()
    stored = records.get("thing", "1", "r", "x")
    assert stored is not None
    assert (stored.status, stored.due, controller.steps) == ("Failed", None, PATIENCE)
    assert stored.observed["FailureReason"] == "InternalServerError: it does not work"
