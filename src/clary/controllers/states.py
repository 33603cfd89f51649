"""Every status that records pass through, and every allowed step; one table a kind.

The names are those of the SageMaker and EC2 models; a step that is not in its table raises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Set
    from datetime import datetime

    from clary.store.records import Record


class IllegalTransition(Exception):
    """The record cannot go from its status to that one."""


@dataclass(frozen=True, slots=True)
class States:
    """The statuses of one kind: `steps` maps each to those that may follow."""

    kind: str
    steps: Mapping[str, Set[str]]

    @property
    def terminal(self) -> frozenset[str]:
        """The statuses in which nothing goes on."""
        return frozenset(status for status, following in self.steps.items() if following <= _REMOVAL)


_REMOVAL = frozenset({"Deleting", "Updating", "Pending"})

_JOB: Mapping[str, Set[str]] = {
    "InProgress": {"Completed", "Failed", "Stopping"},
    "Stopping": {"Stopped", "Completed", "Failed"},
    "Completed": set(),
    "Failed": set(),
    "Stopped": set(),
}

TRAINING_JOB = States("training-job", _JOB)
PROCESSING_JOB = States("processing-job", _JOB)
TRANSFORM_JOB = States("transform-job", _JOB)
TUNING_JOB = States("hyper-parameter-tuning-job", _JOB)
ENDPOINT = States(
    "endpoint",
    {
        "Creating": {"InService", "Failed", "Deleting"},
        "Updating": {"InService", "Failed", "RollingBack", "Deleting"},
        "RollingBack": {"InService", "UpdateRollbackFailed", "Deleting"},
        "InService": {"Updating", "Deleting", "Failed"},
        "Failed": {"Updating", "Deleting"},
        "UpdateRollbackFailed": {"Deleting"},
        "Deleting": set(),
    },
)
MONITORING_SCHEDULE = States(
    "monitoring-schedule",
    {
        "Pending": {"Scheduled", "Failed", "Stopped"},
        "Scheduled": {"Pending", "Stopped", "Failed", "Scheduled"},
        "Stopped": {"Pending", "Scheduled"},
        "Failed": {"Pending"},
    },
)
MONITORING_EXECUTION = States(
    "monitoring-execution",
    {
        "Pending": {"InProgress", "Failed"},
        "InProgress": {"Completed", "CompletedWithViolations", "Failed", "Stopping", "Stopped"},
        "Stopping": {"Stopped", "Completed", "CompletedWithViolations", "Failed"},
        "Completed": set(),
        "CompletedWithViolations": set(),
        "Failed": set(),
        "Stopped": set(),
    },
)
NOTEBOOK_INSTANCE = States(
    "notebook-instance",
    {
        "Pending": {"InService", "Failed", "Stopping", "Deleting"},
        "InService": {"Stopping", "Failed", "Updating"},
        "Stopping": {"Stopped", "Failed"},
        "Stopped": {"Pending", "Updating", "Deleting"},
        "Updating": {"Stopped", "Failed"},
        "Failed": {"Pending", "Updating", "Deleting"},
        "Deleting": set(),
    },
)
INSTANCE = States(
    "instance",
    {
        "pending": {"running", "terminated", "shutting-down", "stopped"},
        "running": {"stopping", "shutting-down", "terminated", "stopped"},
        "stopping": {"stopped", "shutting-down", "terminated"},
        "stopped": {"pending", "terminated", "shutting-down"},
        "shutting-down": {"terminated"},
        "terminated": set(),
    },
)

ALL = (
    TRAINING_JOB,
    PROCESSING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    ENDPOINT,
    MONITORING_SCHEDULE,
    MONITORING_EXECUTION,
    NOTEBOOK_INSTANCE,
    INSTANCE,
)


def transition(states: States, record: Record, to: str, now: datetime, reason: str = "") -> Record:
    """The record in its next status; the only place where a status is set after creation.

    Raises:
        IllegalTransition: the table does not allow the step.
    """
    if to not in states.steps.get(record.status, ()):
        raise IllegalTransition(f"{states.kind} {record.name}: {record.status} -> {to}")
    observed = dict(record.observed)
    if reason:
        observed["FailureReason"] = reason
    return replace(record, status=to, observed=observed, modified=now)
