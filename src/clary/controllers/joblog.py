"""Takes over the output of workloads: lines into log streams, metrics by regular expression out of lines."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.expressions import Expression
from clary.store.metrics import Metric, Point
from clary.store.records import AlreadyExists, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from clary.platform import Platform

READ_BYTES = 4 << 20
"""Most that is taken over in one step; more waits for the next."""

MATCHED_CHARACTERS = 4096
"""Longer lines are searched for metrics up to here."""

LOG_GROUP = "log-group"
METRICS_NAMESPACE = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True, slots=True)
class JobLog:
    """The log file of one workload and the stream it goes to; `group` is `account/region/name`."""

    path: Path
    group: str
    stream: str

    def take_over(self, platform: Platform) -> list[tuple[int, str]]:
        """Moves new whole lines into the stream; tells them as (milliseconds since 1970, text)."""
        position = platform.logs.position(self.group, self.stream)
        try:
            with self.path.open("rb") as file:
                file.seek(position)
                block = file.read(READ_BYTES)
        except FileNotFoundError:
            return []
        block = block[: block.rfind(b"\n") + 1]
        if not block:
            return []
        events = [_event(line) for line in block.decode("utf-8", "replace").split("\n")[:-1]]
        platform.logs.take_over(self.group, self.stream, events, position + len(block))
        return events

    def is_far_behind(self, platform: Platform) -> bool:
        """Whether the file holds much more than the stream."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return False
        return size > platform.logs.position(self.group, self.stream) + READ_BYTES


def ensure_group(platform: Platform, owner: Record, name: str) -> None:
    """Makes the log group when the first line for it comes, as the service's agent does on AWS."""
    if platform.records.get(LOG_GROUP, owner.account, owner.region, name) is not None:
        return
    now = platform.clock.now()
    group = Record(
        LOG_GROUP,
        owner.account,
        owner.region,
        name,
        arn.build("logs", owner.region, owner.account, f"log-group:{name}:*"),
        {"logGroupName": name},
        now,
        now,
    )
    with contextlib.suppress(AlreadyExists):
        platform.records.create(group)


def _event(line: str) -> tuple[int, str]:
    moment, _, text = line.partition(" ")
    # CloudWatch shows control characters as rsyslog escapes them; AWS's own metric expressions rely on it.
    return int(moment), text.replace("\t", "#011")


def measure(
    definitions: Sequence[Mapping[str, str]], events: Iterable[tuple[int, str]]
) -> list[tuple[str, float, float]]:
    """What the metric definitions of a job find in log lines: (name, seconds since 1970, value)."""
    compiled = [(entry["Name"], Expression(entry["Regex"])) for entry in definitions]
    found = []
    for moment, text in events:
        for name, expression in compiled:
            value = _value(expression, text[:MATCHED_CHARACTERS])
            if value is not None:
                found.append((name, moment / 1000, value))
    return found


def _value(expression: Expression, text: str) -> float | None:
    found = expression.group(text)
    if found is None and "#011" in text:
        found = expression.group(text.replace("#011", "\t"))
    try:
        return None if found is None else float(found)
    except ValueError:
        return None


def keep(platform: Platform, scope: str, job: str, found: Sequence[tuple[str, float, float]]) -> None:
    """Stores what `measure` found as CloudWatch metrics of the training job."""
    if found:
        points = [
            (Metric(METRICS_NAMESPACE, name, {"TrainingJobName": job}), Point.of(moment, value))
            for name, moment, value in found
        ]
        platform.metrics.put(scope, points)


def final(before: Sequence[Mapping[str, Any]], found: Sequence[tuple[str, float, float]]) -> list[dict[str, Any]]:
    """FinalMetricDataList: the latest value of each metric."""
    latest = {entry["MetricName"]: dict(entry) for entry in before}
    for name, moment, value in found:
        latest[name] = {"MetricName": name, "Value": value, "Timestamp": moment}
    return list(latest.values())
