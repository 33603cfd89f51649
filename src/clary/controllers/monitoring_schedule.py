"""Monitoring schedules: an execution whenever it is time for one."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.controllers.states import MONITORING_SCHEDULE, transition
from clary.schedule import DAILY, NOW, Hours, window
from clary.store.records import AlreadyExists, Record

if TYPE_CHECKING:
    from clary.platform import Platform

SETTLE = timedelta(seconds=4)
"""How long after its time an execution begins: records of the last seconds are on their way to S3 until then. AWS
takes up to 20 minutes."""

SECOND = timedelta(seconds=1)


class MonitoringScheduleController:
    """Begins executions on time."""

    kind = "monitoring-schedule"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the schedule's next step; after a time without the platform only the latest missed time is made up."""
        if record.status == "Pending":
            record = self._scheduled(record, now)
        if record.status != "Scheduled" or "NextTime" not in record.observed:
            return replace(record, due=None)
        scheduled = datetime.fromisoformat(record.observed["NextTime"])
        if scheduled > now:
            return replace(record, due=scheduled)
        config = _times(record)
        if config["ScheduleExpression"] == NOW:
            self._execute(record, scheduled, now)
            observed = {name: value for name, value in record.observed.items() if name != "NextTime"}
            return replace(record, observed=observed, due=None)
        hours = Hours.parse(config["ScheduleExpression"])
        self._execute(record, max(scheduled, hours.latest(now)), now)
        following = hours.after(now)
        return replace(record, observed={**record.observed, "NextTime": following.isoformat()}, due=following)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The schedule failed because the platform could not go on with it."""
        return replace(transition(MONITORING_SCHEDULE, record, "Failed", now, reason), due=None)

    def _scheduled(self, record: Record, now: datetime) -> Record:
        expression = _times(record)["ScheduleExpression"]
        first = now if expression == NOW else Hours.parse(expression).after(now)
        observed = {**record.observed, "NextTime": first.isoformat()}
        return transition(MONITORING_SCHEDULE, replace(record, observed=observed), "Scheduled", now)

    def _execute(self, record: Record, scheduled: datetime, now: datetime) -> None:
        """Makes the execution; the same time twice is one execution."""
        start, end = _window(record, scheduled)
        identity = f"{record.arn} {record.created.isoformat()} {scheduled.isoformat()}"
        name = f"model-monitoring-{scheduled:%Y%m%d%H%M}-{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
        members = ("MonitoringScheduleName", "EndpointName", "MonitoringType", "MonitoringJobDefinitionName")
        spec = {
            **{member: record.spec[member] for member in members if member in record.spec},
            "ScheduledTime": scheduled.isoformat(),
            "Start": start.isoformat(),
            "End": end.isoformat(),
            "Definition": record.observed["Definition"],
        }
        execution = Record(
            "monitoring-execution", record.account, record.region, name, "", spec, now, now,
            status="Pending", due=now + SETTLE,
        )  # fmt: skip
        with suppress(AlreadyExists):
            self._platform.records.create(execution)


def _times(record: Record) -> dict[str, Any]:
    config: dict[str, Any] = record.spec["MonitoringScheduleConfig"].get("ScheduleConfig")
    return config or {"ScheduleExpression": DAILY}


def _window(record: Record, scheduled: datetime) -> tuple[datetime, datetime]:
    config = _times(record)
    given = (
        (config["DataAnalysisStartTime"], config["DataAnalysisEndTime"]) if "DataAnalysisEndTime" in config else None
    )
    # Captured records tell their time in whole seconds: one of just before NOW must not look as if it came after.
    moment = scheduled.astimezone(UTC)
    moment = moment if moment.microsecond == 0 else moment.replace(microsecond=0) + SECOND
    return window(config["ScheduleExpression"], moment, given)
