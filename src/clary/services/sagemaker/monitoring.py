"""Monitoring schedules and their executions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.controllers import states
from clary.controllers.states import transition
from clary.errors import ValidationException
from clary.schedule import DAILY, DAY, NOW, Hours, offset
from clary.store.records import Query, Record

from . import kinds
from .kinds import (
    DATA_QUALITY_JOB_DEFINITION,
    MONITORING_EXECUTION,
    MONITORING_SCHEDULE,
    Family,
    decode_token,
    delete,
    encode_token,
    fill,
    find,
    listing,
)
from .monitoring_definitions import DATA_QUALITY, Definition, check_definition, of_data_quality, of_inline

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.services.service import Document, Members

Where = tuple[tuple[str, str], ...]


def _where(request: Members) -> Where:
    members = {
        "EndpointName": "EndpointName",
        "MonitoringJobDefinitionName": "MonitoringJobDefinitionName",
        "MonitoringScheduleName": "MonitoringScheduleName",
        "MonitoringTypeEquals": "MonitoringType",
    }
    return tuple((member, request[asked]) for asked, member in members.items() if asked in request)


class MonitoringSchedules(Family):
    """Schedules that watch over endpoints."""

    def create_monitoring_schedule(
        self, ctx: Context, request: api.CreateMonitoringScheduleRequest
    ) -> api.CreateMonitoringScheduleResponse:
        """Checks what can be checked at once and hands the schedule to its controller."""
        members, definition = self._resolve(ctx, request["MonitoringScheduleConfig"])
        record = kinds.create(
            self._platform,
            ctx,
            MONITORING_SCHEDULE,
            {**request, **members},
            status="Pending",
            observed={"Definition": definition},
            due=ctx.now,
        )
        return {"MonitoringScheduleArn": record.arn}

    def update_monitoring_schedule(
        self, ctx: Context, request: api.UpdateMonitoringScheduleRequest
    ) -> api.UpdateMonitoringScheduleResponse:
        """Puts another configuration in the place of the present one; a stopped schedule runs again."""
        record = find(self._platform, ctx, MONITORING_SCHEDULE, request["MonitoringScheduleName"])
        members, definition = self._resolve(ctx, request["MonitoringScheduleConfig"])

        def updating(current: Record) -> Record:
            kept = {name: value for name, value in current.spec.items() if name not in _RESOLVED}
            spec = {**kept, **members, "MonitoringScheduleConfig": request["MonitoringScheduleConfig"]}
            changed = replace(current, spec=spec, observed={"Definition": definition}, due=ctx.now)
            if current.status == "Pending":
                return replace(changed, modified=ctx.now)
            return transition(states.MONITORING_SCHEDULE, changed, "Pending", ctx.now)

        return {"MonitoringScheduleArn": self._platform.records.edit(record, updating).arn}

    def start_monitoring_schedule(self, ctx: Context, request: api.StartMonitoringScheduleRequest) -> None:
        """Lets a stopped schedule go on."""
        record = find(self._platform, ctx, MONITORING_SCHEDULE, request["MonitoringScheduleName"])

        def starting(current: Record) -> Record:
            if current.status in {"Pending", "Scheduled"}:
                return current
            return replace(transition(states.MONITORING_SCHEDULE, current, "Pending", ctx.now), due=ctx.now)

        self._platform.records.edit(record, starting)

    def stop_monitoring_schedule(self, ctx: Context, request: api.StopMonitoringScheduleRequest) -> None:
        """Starts no more executions; those under way go on."""
        record = find(self._platform, ctx, MONITORING_SCHEDULE, request["MonitoringScheduleName"])

        def stopping(current: Record) -> Record:
            if current.status == "Stopped":
                return current
            return replace(transition(states.MONITORING_SCHEDULE, current, "Stopped", ctx.now), due=None)

        self._platform.records.edit(record, stopping)

    def describe_monitoring_schedule(self, ctx: Context, request: api.DescribeMonitoringScheduleRequest) -> Document:
        """What was asked of a schedule, and its last execution."""
        record = find(self._platform, ctx, MONITORING_SCHEDULE, request["MonitoringScheduleName"])
        shape = self._platform.models.operation(ctx.service, ctx.operation).output_shape
        answer = fill(MONITORING_SCHEDULE, record, list(shape.members))
        last = self._platform.records.list(
            Query(
                MONITORING_EXECUTION.name,
                ctx.account,
                ctx.region,
                created_after=record.created - timedelta(microseconds=1),
                where=_where({"MonitoringScheduleName": record.name}),
                descending=True,
                limit=1,
            )
        )
        if last:
            members = shape.members["LastMonitoringExecutionSummary"].members
            answer["LastMonitoringExecutionSummary"] = _summary(last[0], members)
        return answer

    list_monitoring_schedules = listing(MONITORING_SCHEDULE, _where)
    delete_monitoring_schedule = delete(MONITORING_SCHEDULE)

    def _resolve(self, ctx: Context, config: Members) -> tuple[Document, Definition]:
        """The members that a configuration adds to a schedule's description, and what is to run."""
        _check_times(config.get("ScheduleConfig", {"ScheduleExpression": DAILY}))
        kind = config.get("MonitoringType", DATA_QUALITY)
        if kind != DATA_QUALITY:
            raise ValidationException(f"Clary does not support the MonitoringType {kind} yet; only {DATA_QUALITY}.")
        name, inline = config.get("MonitoringJobDefinitionName"), config.get("MonitoringJobDefinition")
        if (name is None) == (inline is None):
            raise ValidationException(
                "Exactly one of MonitoringJobDefinition and MonitoringJobDefinitionName must be given."
            )
        if inline is not None:
            definition = of_inline(inline)
            check_definition(self._platform, ctx, definition)
        else:
            definition = of_data_quality(find(self._platform, ctx, DATA_QUALITY_JOB_DEFINITION, str(name)).spec)
        members = {"EndpointName": definition["Input"]["EndpointName"], "MonitoringType": kind}
        return (members if name is None else {**members, "MonitoringJobDefinitionName": name}), definition


_RESOLVED = ("EndpointName", "MonitoringType", "MonitoringJobDefinitionName")


class MonitoringExecutions(Family):
    """What came of the runs of monitoring schedules; kept when the schedule is deleted."""

    def list_monitoring_executions(self, ctx: Context, request: api.ListMonitoringExecutionsRequest) -> Document:
        """Executions, filtered, ordered and in pages."""
        query = Query(
            MONITORING_EXECUTION.name,
            ctx.account,
            ctx.region,
            statuses=(request["StatusEquals"],) if "StatusEquals" in request else (),
            created_after=request.get("CreationTimeAfter"),
            created_before=request.get("CreationTimeBefore"),
            modified_after=request.get("LastModifiedTimeAfter"),
            modified_before=request.get("LastModifiedTimeBefore"),
            where=_where(request),
        )
        found = [record for record in self._platform.records.all(query) if _scheduled_within(record, request)]
        order = _ORDERS[request.get("SortBy", "CreationTime")]
        found.sort(key=lambda record: (order(record), record.id), reverse=request.get("SortOrder") != "Ascending")
        start = decode_token(request.get("NextToken")) or 0
        end = start + request.get("MaxResults", 10)
        shape = self._platform.models.operation(ctx.service, ctx.operation).output_shape
        members = shape.members["MonitoringExecutionSummaries"].member.members
        answer: Document = {"MonitoringExecutionSummaries": [_summary(record, members) for record in found[start:end]]}
        return answer if end >= len(found) else {**answer, "NextToken": encode_token(end)}


def _summary(record: Record, members: Any) -> Document:
    """An execution is called after its schedule, not by a name of its own."""
    answer = fill(MONITORING_EXECUTION, record, list(members))
    return {**answer, "MonitoringExecutionStatus": record.status}


def _scheduled(record: Record) -> datetime:
    return datetime.fromisoformat(record.spec["ScheduledTime"])


_ORDERS: dict[str, Any] = {
    "CreationTime": lambda record: record.created,
    "ScheduledTime": _scheduled,
    "Status": lambda record: record.status,
}


def _scheduled_within(record: Record, request: Members) -> bool:
    after, before = request.get("ScheduledTimeAfter"), request.get("ScheduledTimeBefore")
    moment = _scheduled(record)
    return (after is None or moment > after) and (before is None or moment < before)


def _check_times(config: Members) -> None:
    expression = config["ScheduleExpression"]
    if expression != NOW:
        try:
            Hours.parse(expression)
        except ValueError:
            raise ValidationException(
                f"Invalid ScheduleExpression {expression}: it must be NOW, or begin on the hour, such as "
                "cron(0 * ? * * *), cron(0 12 ? * * *) or cron(0 17/12 ? * * *)."
            ) from None
    given = [member for member in ("DataAnalysisStartTime", "DataAnalysisEndTime") if member in config]
    if len(given) == 1 or (expression == NOW and not given):
        raise ValidationException(
            "DataAnalysisStartTime and DataAnalysisEndTime must be given together, and with the expression NOW."
        )
    if given:
        _check_offsets(config["DataAnalysisStartTime"], config["DataAnalysisEndTime"])


def _check_offsets(start: str, end: str) -> None:
    try:
        span = offset(end) - offset(start)
    except ValueError as error:
        raise ValidationException(f"{error} is not a valid ISO 8601 duration.") from None
    if not timedelta(0) < span <= DAY:
        raise ValidationException(
            "DataAnalysisStartTime must precede DataAnalysisEndTime, and by no more than 24 hours."
        )
