"""The training jobs of a tuning job, as their records tell them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clary.store.records import Query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clary.store.records import Record, Records

RUNNING = ("InProgress", "Stopping")
COUNTERS = {"Completed": "Completed", "InProgress": "InProgress", "Stopping": "InProgress", "Stopped": "Stopped"}
"""Member of TrainingJobStatusCounters by status; failed jobs are not run again, so they count as NonRetryableError."""


def trials(records: Records, tuning: Record) -> list[Record]:
    """The training jobs of `tuning`, in the order in which they were begun."""
    query = Query("training-job", tuning.account, tuning.region, name_prefix=f"{tuning.name}-", order_by="created")
    # An earlier tuning job may have borne the same name.
    return [
        record
        for record in records.all(query)
        if record.observed.get("TuningJobArn") == tuning.arn and record.created >= tuning.created
    ]


def maximizes(tuning: Record) -> bool:
    """Whether larger values of the objective are better."""
    return bool(tuning.observed["Plan"]["Objective"]["Type"] == "Maximize")


def number(trial: Record) -> int:
    """Which training job of its tuning job this is, counted from 1: the second last part of its name."""
    return int(trial.name.split("-")[-2])


def running(trial: Record) -> bool:
    """Whether the training job has not ended."""
    return trial.status in RUNNING


def objective(trial: Record) -> float | None:
    """The last value of the objective that an ended training job reported, if it can be compared."""
    if trial.status not in {"Completed", "Stopped"}:
        return None
    name = trial.observed["TuningObjective"]["MetricName"]
    values = (entry["Value"] for entry in trial.observed.get("FinalMetricDataList", ()) if entry["MetricName"] == name)
    value = next(values, None)
    return float(value) if value is not None and math.isfinite(value) else None


def objective_status(trial: Record) -> str:
    """ObjectiveStatus of a training job."""
    if running(trial):
        return "Pending"
    return "Failed" if objective(trial) is None else "Succeeded"


def best(candidates: Iterable[Record], *, maximize: bool) -> Record | None:
    """The training job with the best objective; the earlier one of equals."""
    scored = [(value, trial) for trial in candidates if (value := objective(trial)) is not None]
    choose = max if maximize else min
    return choose(scored, key=lambda pair: pair[0])[1] if scored else None


def summary(trial: Record) -> dict[str, Any]:
    """A training job as HyperParameterTrainingJobSummary."""
    told: dict[str, Any] = {
        "TrainingJobName": trial.name,
        "TrainingJobArn": trial.arn,
        "CreationTime": trial.created,
        "TrainingJobStatus": trial.status,
        "ObjectiveStatus": objective_status(trial),
    }
    members = ("TrainingJobDefinitionName", "TuningJobName", "TrainingStartTime", "TrainingEndTime", "FailureReason")
    told |= {member: trial.observed[member] for member in members if trial.observed.get(member)}
    told["TunedHyperParameters"] = trial.observed["TunedHyperParameters"]
    value = objective(trial)
    if value is not None:
        told["FinalHyperParameterTuningJobObjectiveMetric"] = {**trial.observed["TuningObjective"], "Value": value}
    return told


def counters(seen: Iterable[Record]) -> dict[str, dict[str, int]]:
    """TrainingJobStatusCounters and ObjectiveStatusCounters."""
    jobs = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    objectives = dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)
    for trial in seen:
        jobs[COUNTERS.get(trial.status, "NonRetryableError")] += 1
        objectives[objective_status(trial)] += 1
    return {"TrainingJobStatusCounters": jobs, "ObjectiveStatusCounters": objectives}
