from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from clary.controllers.states import ALL, TRAINING_JOB, IllegalTransition, States, transition
from clary.store.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENUMS = {
    "training-job": ("sagemaker", "TrainingJobStatus"),
    "processing-job": ("sagemaker", "ProcessingJobStatus"),
    "transform-job": ("sagemaker", "TransformJobStatus"),
    "hyper-parameter-tuning-job": ("sagemaker", "HyperParameterTuningJobStatus"),
    "endpoint": ("sagemaker", "EndpointStatus"),
    "monitoring-schedule": ("sagemaker", "ScheduleStatus"),
    "monitoring-execution": ("sagemaker", "ExecutionStatus"),
    "notebook-instance": ("sagemaker", "NotebookInstanceStatus"),
    "instance": ("ec2", "InstanceStateName"),
}
"""The enumeration of the model that names the statuses of each kind."""

JOB_WAITERS = {
    "training-job": "TrainingJobCompletedOrStopped",
    "processing-job": "ProcessingJobCompletedOrStopped",
    "transform-job": "TransformJobCompletedOrStopped",
}
by_kind = pytest.mark.parametrize("table", ALL, ids=lambda table: table.kind)


@pytest.fixture(scope="module")
def loader() -> Loader:
    return Loader()


@by_kind
def test_statuses_are_named_as_the_model_names_them(loader: Loader, table: States) -> None:
    service, enum = ENUMS[table.kind]
    model = ServiceModel(loader.load_service_model(service, "service-2"), service)
    assert set(table.steps) <= set(model.shape_for(enum).enum)


@by_kind
def test_every_status_is_reached_from_the_first(table: States) -> None:
    reached: set[str] = set()
    waiting = [next(iter(table.steps))]
    while waiting:
        status = waiting.pop()
        reached.add(status)
        waiting.extend(table.steps[status] - reached)
    assert reached == set(table.steps)


@pytest.mark.parametrize("kind", JOB_WAITERS)
def test_a_job_ends_where_the_waiters_of_boto3_stop(loader: Loader, kind: str) -> None:
    waiters = loader.load_service_model("sagemaker", "waiters-2")["waiters"]
    table = next(table for table in ALL if table.kind == kind)
    assert table.terminal == _awaited(waiters[JOB_WAITERS[kind]])


def test_what_the_waiters_of_boto3_wait_for_is_a_status(loader: Loader) -> None:
    for table, prefix in ((table, _prefix(table)) for table in ALL):
        waiters = loader.load_service_model(ENUMS[table.kind][0], "waiters-2")["waiters"]
        for name, waiter in waiters.items():
            if waiter["operation"] == f"Describe{prefix}":
                assert _awaited(waiter) <= set(table.steps), name


def test_a_transition_keeps_the_reason() -> None:
    record = Record("training-job", "1", "r", "j", "arn", {}, NOW, NOW, status="InProgress")
    failed = transition(TRAINING_JOB, record, "Failed", NOW, "ClientError: no data")
    assert (failed.status, failed.observed) == ("Failed", {"FailureReason": "ClientError: no data"})


def test_a_transition_that_the_table_lacks_is_refused() -> None:
    record = Record("training-job", "1", "r", "j", "arn", {}, NOW, NOW, status="Completed")
    with pytest.raises(IllegalTransition, match="Completed -> InProgress"):
        transition(TRAINING_JOB, record, "InProgress", NOW)
    with pytest.raises(IllegalTransition):
        transition(TRAINING_JOB, replace(record, status="unheard of"), "Failed", NOW)


def _prefix(table: States) -> str:
    return "Instances" if table.kind == "instance" else "".join(part.title() for part in table.kind.split("-"))


def _awaited(waiter: dict[str, Any]) -> set[str]:
    return {
        each["expected"] for each in waiter["acceptors"] if each.get("argument", "").endswith(("Status", "State.Name"))
    }
