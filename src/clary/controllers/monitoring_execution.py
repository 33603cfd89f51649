"""Executions of monitoring schedules: one processing job each."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clary.context import Context, Principal, PrincipalKind
from clary.controllers.identity import RoleGone, role_context
from clary.controllers.monitoring_request import MonitoringRequest, NoEndpoint
from clary.controllers.staging import Stager, StagingError
from clary.controllers.states import MONITORING_EXECUTION, transition
from clary.errors import ServiceError

if TYPE_CHECKING:
    from clary.platform import Platform
    from clary.store.records import Record

LOOK_S = 1.0
SAGEMAKER = "sagemaker.amazonaws.com"
UNEXPLAINED = "See job logs for more information"
WITH_VIOLATIONS = "CompletedWithViolations"


class MonitoringExecutionController:
    """Creates the processing job of an execution and tells how it ended."""

    kind = "monitoring-execution"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the execution's next step."""
        if record.status == "Pending":
            try:
                return self._begin(record, now)
            except (NoEndpoint, RoleGone, StagingError, ServiceError) as error:
                return self._end(record, "Failed", now, str(error))
        if record.status in {"InProgress", "Stopping"}:
            return self._watch(record, now)
        return replace(record, due=None)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The execution failed because the platform could not go on with it."""
        return self._end(record, "Failed", now, reason)

    def _begin(self, record: Record, now: datetime) -> Record:
        arn = self._job_arn(record) or self._create(record)
        observed = {**record.observed, "ProcessingJobArn": arn}
        record = transition(MONITORING_EXECUTION, replace(record, observed=observed), "InProgress", now)
        return replace(record, due=now + timedelta(seconds=LOOK_S))

    def _create(self, record: Record) -> str:
        endpoint = self._platform.records.get("endpoint", record.account, record.region, record.spec["EndpointName"])
        role: str = record.spec["Definition"]["RoleArn"]
        stager = Stager(
            self._platform, lambda operation: role_context(self._platform, record, role, "s3", operation), role
        )
        request = MonitoringRequest(self._platform.records, record, endpoint).build(stager.has_any)
        arn: str = self._platform.invoke.call(self._as_service(record), request)["ProcessingJobArn"]
        return arn

    def _watch(self, record: Record, now: datetime) -> Record:
        job = self._job(record)
        if job is None:
            return self._end(record, "Failed", now, "The processing job of the execution was deleted.")
        if job.status == "Completed":
            violations = str(job.observed.get("ExitMessage", "")).startswith(WITH_VIOLATIONS)
            return self._end(record, WITH_VIOLATIONS if violations else "Completed", now)
        if job.status in {"Failed", "Stopped"}:
            return self._end(record, job.status, now, _reason(job))
        record = replace(record, due=now + timedelta(seconds=LOOK_S))
        if job.status == "Stopping" and record.status == "InProgress":
            return transition(MONITORING_EXECUTION, record, "Stopping", now)
        return record

    def _end(self, record: Record, status: str, now: datetime, reason: str = "") -> Record:
        return replace(transition(MONITORING_EXECUTION, record, status, now, reason[:1024]), due=None)

    def _job(self, record: Record) -> Record | None:
        return self._platform.records.get("processing-job", record.account, record.region, record.name)

    def _job_arn(self, record: Record) -> str:
        """The job that was created before, when the platform ended between its creation and the record of it."""
        job = self._job(record)
        return job.arn if job else ""

    def _as_service(self, record: Record) -> Context:
        """SageMaker itself creates the job: its role was handed over when the schedule was made."""
        return Context(
            request_id=str(uuid.uuid4()),
            account=record.account,
            region=record.region,
            principal=Principal(PrincipalKind.SERVICE, record.account, SAGEMAKER, SAGEMAKER, SAGEMAKER),
            service="sagemaker",
            operation="CreateProcessingJob",
            now=self._platform.clock.now(),
            via=SAGEMAKER,
        )


def _reason(job: Record) -> str:
    """Why the job failed; the container tells more than the job does."""
    reason, message = str(job.observed.get("FailureReason", "")), str(job.observed.get("ExitMessage", ""))
    return reason.replace(UNEXPLAINED, message) if message else reason
