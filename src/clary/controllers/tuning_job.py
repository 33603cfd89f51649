"""Tuning jobs: training jobs begun one after another, each with hyperparameters that the search proposes.

The training jobs' records are all that is remembered; every step counts them anew and begins what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clary import arn
from clary.controllers.early_stopping import lags
from clary.controllers.joblog import METRICS_NAMESPACE
from clary.controllers.states import TRAINING_JOB, TUNING_JOB, transition
from clary.controllers.training_job import MESSAGES
from clary.store.metrics import Metric
from clary.store.records import Conflict, Record
from clary.trials import best, counters, maximizes, number, objective, running, summary, trials
from clary.warm_pools import claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clary.controllers.search import Values
    from clary.platform import Platform

LOOK_S = 5.0
"""The end of a training job wakes its tuning job; this is the safety net."""

EARLY_STOPPING_LOOK_S = 1.0
PATIENCE = 5
"""Training jobs that may end without an objective before the tuning job is given up, as on AWS."""

ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
NO_OBJECTIVE = (
    "No objective metrics found after running {count} training jobs. Please ensure that the custom algorithm is "
    "emitting the objective metric as defined by the regular expression provided."
)


class TuningJobController:
    """Keeps as many training jobs running as the tuning job allows, until it has had enough."""

    kind = "hyper-parameter-tuning-job"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._records = platform.records

    def step(self, record: Record, now: datetime) -> Record | None:
        """Looks at the training jobs, stops and begins some, and tells what became of them."""
        if record.status in TUNING_JOB.terminal:
            return replace(record, due=None)
        seen = trials(self._records, record)
        if record.status == "Stopping" or _enough(record, seen, now):
            self._stop(filter(running, seen), now)
        else:
            self._stop(self._laggards(record, seen), now)
            seen = [*seen, *self._begin(record, seen, now)]
        record = _told(record, seen, now)
        if any(map(running, seen)):
            return replace(record, due=_next_look(record, now))
        return _concluded(record, seen, now)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The tuning job failed because the platform could not go on with it."""
        self._stop(filter(running, trials(self._records, record)), now)
        return _ended(record, "Failed", now, reason)

    # Training jobs

    def _begin(self, record: Record, seen: Sequence[Record], now: datetime) -> list[Record]:
        limits = record.spec["HyperParameterTuningJobConfig"]["ResourceLimits"]
        begun = max([record.observed.get("Begun", 0), *map(number, seen)])
        room = limits["MaxParallelTrainingJobs"] - sum(map(running, seen))
        wanted = range(begun + 1, min(begun + room, limits["MaxNumberOfTrainingJobs"]) + 1)
        if not wanted:
            return []
        # Optional, and slow to import: only a tuning job may pay for it, in a thread of the loop.
        from clary.controllers.search import propose  # noqa: PLC0415

        return [
            self._create(_training_job(record, index, values, now))
            for index, values in zip(wanted, propose(record, seen, wanted), strict=True)
        ]

    def _create(self, trial: Record) -> Record:
        with self._records.together():
            pool = claim(self._records, (trial.account, trial.region), trial.name, trial.spec, trial.created)
            return self._records.create(replace(trial, observed={**trial.observed, **pool}))

    def _stop(self, unwanted: Iterable[Record], now: datetime) -> None:
        def stopping(current: Record) -> Record:
            if current.status != "InProgress":
                return current
            return replace(transition(TRAINING_JOB, current, "Stopping", now), due=now)

        for trial in unwanted:
            if trial.status == "InProgress":
                with contextlib.suppress(Conflict):  # it was deleted meanwhile
                    self._records.edit(trial, stopping)

    def _laggards(self, record: Record, seen: Sequence[Record]) -> list[Record]:
        if record.spec["HyperParameterTuningJobConfig"].get("TrainingJobEarlyStoppingType") != "Auto":
            return []
        finished = [self._reported(trial) for trial in seen if not running(trial)]
        return [
            trial
            for trial in seen
            if trial.status == "InProgress" and lags(self._reported(trial), finished, maximize=maximizes(record))
        ]

    def _reported(self, trial: Record) -> list[float]:
        """Every value of the objective that a training job has reported."""
        metric = Metric(
            METRICS_NAMESPACE, trial.observed["TuningObjective"]["MetricName"], {"TrainingJobName": trial.name}
        )
        points = self._platform.metrics.get(f"{trial.account}/{trial.region}", metric, 0.0, float("inf"))
        return [point.sum for point in points]


def _training_job(record: Record, index: int, values: Values, now: datetime) -> Record:
    plan = record.observed["Plan"]
    # The same tuning job always gives the same name, so a job cannot be begun twice.
    identity = hashlib.sha256(f"{record.arn} {record.created.timestamp()} {index}".encode()).hexdigest()
    name = f"{record.name}-{index:03}-{identity[:8]}"
    training = plan["TrainingJob"]
    spec = {
        **training,
        "TrainingJobName": name,
        "HyperParameters": {**training["HyperParameters"], **values},
    }
    if "CheckpointConfig" in training:
        # Training jobs resume from what they find there, and must not find each other's.
        checkpoints = training["CheckpointConfig"]
        spec["CheckpointConfig"] = {**checkpoints, "S3Uri": f"{checkpoints['S3Uri'].rstrip('/')}/{name}"}
    begun = {"Status": "Starting", "StartTime": now, "StatusMessage": MESSAGES["Starting"]}
    return Record(
        "training-job",
        record.account,
        record.region,
        name,
        arn.build("sagemaker", record.region, record.account, f"training-job/{name}"),
        spec,
        now,
        now,
        status="InProgress",
        observed={
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [begun],
            "TuningJobArn": record.arn,
            "TuningJobName": record.name,
            "TrainingJobDefinitionName": plan["DefinitionName"],
            "TunedHyperParameters": values,
            "TuningObjective": plan["Objective"],
        },
        tags=record.tags,
        due=now,
    )


def _enough(record: Record, seen: Sequence[Record], now: datetime) -> bool:
    """Whether no more training jobs are wanted, whatever number is allowed."""
    config = record.spec["HyperParameterTuningJobConfig"]
    if now >= record.created + timedelta(seconds=config["ResourceLimits"].get("MaxRuntimeInSeconds", 1 << 30)):
        return True
    ended = [trial for trial in seen if not running(trial)]
    leader = best(seen, maximize=maximizes(record))
    if leader is None:
        return len(ended) >= PATIENCE
    criteria = config.get("TuningJobCompletionCriteria", {})
    target, value = criteria.get("TargetObjectiveMetricValue"), objective(leader)
    if target is not None and value is not None and (value >= target if maximizes(record) else value <= target):
        return True
    stall = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
    return stall is not None and _since(leader, seen) >= stall


def _since(leader: Record, seen: Sequence[Record]) -> int:
    """Training jobs that ended after the best one."""
    return sum(not running(trial) and trial.modified > leader.modified for trial in seen)


def _told(record: Record, seen: Sequence[Record], now: datetime) -> Record:
    """The record with what Describe tells of its training jobs."""
    leader = best(seen, maximize=maximizes(record))
    observed = {
        **record.observed,
        **counters(seen),
        "Begun": max([record.observed.get("Begun", 0), *map(number, seen)]),
        "ConsumedResources": {
            "RuntimeInSeconds": sum(trial.observed.get("TrainingTimeInSeconds", 0) for trial in seen)
        },
    }
    if leader is not None:
        observed["BestTrainingJob"] = summary(leader)
        observed["TuningJobCompletionDetails"] = {"NumberOfTrainingJobsObjectiveNotImproving": _since(leader, seen)}
    return record if observed == record.observed else replace(record, observed=observed, modified=now)


def _next_look(record: Record, now: datetime) -> datetime:
    config = record.spec["HyperParameterTuningJobConfig"]
    early = config.get("TrainingJobEarlyStoppingType") == "Auto"
    return now + timedelta(seconds=EARLY_STOPPING_LOOK_S if early else LOOK_S)


def _concluded(record: Record, seen: Sequence[Record], now: datetime) -> Record:
    if record.status == "Stopping":
        return _ended(record, "Stopped", now)
    if "BestTrainingJob" in record.observed:
        return _ended(record, "Completed", now)
    failed = all(trial.status == "Failed" for trial in seen)
    return _ended(record, "Failed", now, ALL_FAILED if failed else NO_OBJECTIVE.format(count=len(seen)))


def _ended(record: Record, status: str, now: datetime, reason: str = "") -> Record:
    observed = {**record.observed, "HyperParameterTuningEndTime": now}
    return replace(transition(TUNING_JOB, replace(record, observed=observed), status, now, reason), due=None)
