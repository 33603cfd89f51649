from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from clary.controllers.monitoring_schedule import SETTLE, MonitoringScheduleController
from clary.store.records import Query, Record, Records
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clary.platform import Platform

START = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
HOURLY = {"ScheduleExpression": "cron(0 * ? * * *)"}
NOW = {"ScheduleExpression": "NOW", "DataAnalysisStartTime": "-PT2H", "DataAnalysisEndTime": "-PT0H"}


class Watch:
    """A schedule whose controller is moved by hand."""

    def __init__(self, records: Records, **times: str) -> None:
        self.records = records
        # The controller uses the store and nothing else of the platform.
        platform = cast("Platform", SimpleNamespace(records=records))
        self.controller = MonitoringScheduleController(platform)
        config: dict[str, Any] = {"ScheduleConfig": times} if times else {}
        spec = {
            "MonitoringScheduleName": "watch",
            "EndpointName": "e",
            "MonitoringType": "DataQuality",
            "MonitoringScheduleConfig": config,
        }
        self.record = records.create(
            Record(
                "monitoring-schedule", "1", "r", "watch", "arn:watch", spec, START, START,
                status="Pending", observed={"Definition": {"RoleArn": "role"}}, due=START,
            )
        )  # fmt: skip

    def step(self, now: datetime) -> datetime | None:
        """Takes a step and tells when the next is due."""
        outcome = self.controller.step(self.record, now)
        assert outcome is not None
        self.record = self.records.update(outcome)
        return self.record.due

    @property
    def executions(self) -> list[Record]:
        return self.records.all(Query("monitoring-execution", "1", "r"))


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    database = SqliteDatabase(tmp_path / "db", durable=False)
    yield Records(database)
    database.close()


def hour(number: int) -> datetime:
    return datetime(2026, 3, 1, number, tzinfo=UTC)


def test_a_schedule_waits_for_its_hour(records: Records) -> None:
    watch = Watch(records, **HOURLY)
    assert watch.step(START) == hour(13)
    assert watch.record.status == "Scheduled"
    assert watch.executions == []


def test_each_hour_has_one_execution_over_the_hour_before(records: Records) -> None:
    watch = Watch(records, **HOURLY)
    watch.step(START)
    assert watch.step(hour(13)) == hour(14)
    assert watch.step(hour(14) + timedelta(milliseconds=5)) == hour(15)
    first, second = watch.executions
    assert first.spec["ScheduledTime"] == hour(13).isoformat()
    assert (first.spec["Start"], first.spec["End"]) == (hour(12).isoformat(), hour(13).isoformat())
    assert (second.spec["Start"], second.spec["End"]) == (hour(13).isoformat(), hour(14).isoformat())
    assert first.status == "Pending"
    assert first.due == hour(13) + SETTLE
    assert first.name.startswith("model-monitoring-202603011300-")
    assert first.spec["Definition"] == {"RoleArn": "role"}


def test_a_step_that_is_taken_twice_makes_one_execution(records: Records) -> None:
    watch = Watch(records, **HOURLY)
    watch.step(START)
    before = watch.record
    watch.controller.step(before, hour(13))
    watch.controller.step(before, hour(13))
    assert len(watch.executions) == 1


def test_only_the_latest_missed_hour_is_made_up(records: Records) -> None:
    watch = Watch(records, **HOURLY)
    watch.step(START)
    assert watch.step(hour(17) + timedelta(minutes=3)) == hour(18)
    assert [execution.spec["ScheduledTime"] for execution in watch.executions] == [hour(17).isoformat()]


def test_without_an_expression_a_schedule_runs_daily(records: Records) -> None:
    watch = Watch(records)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert watch.step(START) == midnight
    watch.step(midnight)
    assert watch.executions[0].spec["Start"] == (midnight - timedelta(days=1)).isoformat()


def test_now_runs_once(records: Records) -> None:
    watch = Watch(records, **NOW)
    moment = START + timedelta(milliseconds=700)
    assert watch.step(moment) is None
    assert watch.step(moment + timedelta(hours=3)) is None
    (execution,) = watch.executions
    # Whole seconds, and none of the present one lost.
    end = START + timedelta(seconds=1)
    assert execution.spec["End"] == end.isoformat()
    assert execution.spec["Start"] == (end - timedelta(hours=2)).isoformat()


def test_a_stopped_schedule_does_nothing_and_goes_on_when_started(records: Records) -> None:
    watch = Watch(records, **HOURLY)
    watch.step(START)
    watch.record = replace(watch.record, status="Stopped")
    assert watch.step(hour(13)) is None
    watch.record = replace(watch.record, status="Pending")
    assert watch.step(hour(15)) == hour(16)
    assert watch.executions == []


def test_a_schedule_made_again_has_executions_of_its_own(records: Records) -> None:
    watch = Watch(records, **HOURLY)
    watch.step(START)
    watch.step(hour(13))
    records.delete(watch.record)
    again = Watch(records, **HOURLY)
    again.record = replace(again.record, created=START + timedelta(minutes=1))
    again.step(START + timedelta(minutes=1))
    again.step(hour(13))
    assert len(again.executions) == 2
