"""CloudWatch Logs: groups, streams and events."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from clary import arn
from clary.errors import ServiceError
from clary.services.filter_pattern import matcher
from clary.services.service import Check, Document, Members, Service
from clary.store.logs import Event, Window
from clary.store.records import AlreadyExists, Query, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.api import logs as api
    from clary.context import Context
    from clary.platform import Platform

KIND = "log-group"
RETENTION_DAYS = frozenset(
    (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
)
EVENT_BYTES = 1_048_576
MOST_EVENTS = 10_000
DAY_MS = 86_400_000


class ResourceNotFoundException(ServiceError):
    """There is no such group or stream."""


class ResourceAlreadyExistsException(ServiceError):
    """The name is taken."""


class InvalidParameterException(ServiceError):
    """A parameter has a value that it may not have."""


class Groups:
    """Log groups and their retention."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def create_log_group(self, ctx: Context, request: api.CreateLogGroupRequest) -> None:
        """Makes an empty group."""
        name = request["logGroupName"]
        record = Record(
            KIND, ctx.account, ctx.region, name, _arn(ctx, name), {"logGroupName": name}, ctx.now, ctx.now,
            tags=request.get("tags", {}),
        )  # fmt: skip
        try:
            self._platform.records.create(record)
        except AlreadyExists:
            raise ResourceAlreadyExistsException("The specified log group already exists") from None

    def delete_log_group(self, ctx: Context, request: api.DeleteLogGroupRequest) -> None:
        """Removes a group with everything in it."""
        record = _group(self._platform, ctx, request)
        self._platform.logs.delete_group(_address(ctx, record.name))
        self._platform.records.delete(record)

    def describe_log_groups(self, ctx: Context, request: api.DescribeLogGroupsRequest) -> api.DescribeLogGroupsResponse:
        """The groups by name, in pages."""
        limit = request.get("limit", 50)
        token = request.get("nextToken")
        found = self._platform.records.list(
            Query(
                KIND,
                ctx.account,
                ctx.region,
                name_prefix=request.get("logGroupNamePrefix", ""),
                name_contains=request.get("logGroupNamePattern", ""),
                order_by="name",
                after=(token, 1 << 62) if token else None,
                limit=limit + 1,
            )
        )
        page = found[:limit]
        answer: api.DescribeLogGroupsResponse = {"logGroups": [_group_members(record) for record in page]}
        if len(found) > limit:
            answer["nextToken"] = page[-1].name
        return answer

    def put_retention_policy(self, ctx: Context, request: api.PutRetentionPolicyRequest) -> None:
        """Lets events expire after a number of days."""
        days = request["retentionInDays"]
        if days not in RETENTION_DAYS:
            allowed = ", ".join(str(day) for day in sorted(RETENTION_DAYS))
            raise InvalidParameterException(f"retentionInDays must be one of {allowed}")
        record = _group(self._platform, ctx, request)
        self._platform.records.edit(
            record, lambda now: replace(now, observed={**now.observed, "retentionInDays": days})
        )
        self._platform.logs.expire(_address(ctx, record.name), _milliseconds(ctx) - days * DAY_MS)

    def delete_retention_policy(self, ctx: Context, request: api.DeleteRetentionPolicyRequest) -> None:
        """Lets events stay for ever."""
        record = _group(self._platform, ctx, request)
        self._platform.records.edit(record, lambda now: replace(now, observed={}))

    def tag_log_group(self, ctx: Context, request: api.TagLogGroupRequest) -> None:
        """Adds tags to a group."""
        record = _group(self._platform, ctx, request)
        self._platform.records.edit(record, lambda now: replace(now, tags={**now.tags, **request["tags"]}))

    def list_tags_log_group(self, ctx: Context, request: api.ListTagsLogGroupRequest) -> api.ListTagsLogGroupResponse:
        """The tags of a group."""
        return {"tags": _group(self._platform, ctx, request).tags}


class Streams:
    """Log streams and their events."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def create_log_stream(self, ctx: Context, request: api.CreateLogStreamRequest) -> None:
        """Makes an empty stream."""
        group = _address(ctx, _group(self._platform, ctx, request).name)
        if not self._platform.logs.create_stream(group, request["logStreamName"], _milliseconds(ctx)):
            raise ResourceAlreadyExistsException("The specified log stream already exists")

    def delete_log_stream(self, ctx: Context, request: api.DeleteLogStreamRequest) -> None:
        """Removes a stream with its events."""
        group = _address(ctx, _group(self._platform, ctx, request).name)
        if not self._platform.logs.delete_stream(group, request["logStreamName"]):
            raise ResourceNotFoundException(_NO_STREAM)

    def describe_log_streams(self, ctx: Context, request: api.DescribeLogStreamsRequest) -> Document:
        """The streams of a group, by name or by their last event."""
        by_time = request.get("orderBy") == "LastEventTime"
        prefix = request.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
        record = _group(self._platform, ctx, request)
        streams = self._platform.logs.streams(
            _address(ctx, record.name), prefix, by_time=by_time, descending=request.get("descending", False)
        )
        start, limit = _offset(request), request.get("limit", 50)
        answer: Document = {
            "logStreams": [
                {
                    "logStreamName": stream.name,
                    "creationTime": stream.created,
                    "firstEventTimestamp": stream.first_event,
                    "lastEventTimestamp": stream.last_event,
                    "lastIngestionTime": stream.ingested,
                    "uploadSequenceToken": "0",
                    "arn": f"{record.arn.removesuffix(':*')}:log-stream:{stream.name}",
                    "storedBytes": 0,
                }
                for stream in streams[start : start + limit]
            ]
        }
        if len(streams) > start + limit:
            answer["nextToken"] = str(start + limit)
        return answer

    def put_log_events(self, ctx: Context, request: api.PutLogEventsRequest) -> Document:
        """Adds events to a stream; times too old or too new are refused one by one, as AWS does."""
        group = _address(ctx, _group(self._platform, ctx, request).name)
        name = request["logStreamName"]
        if not self._platform.logs.has_stream(group, name):
            raise ResourceNotFoundException(_NO_STREAM)
        events = [(event["timestamp"], event["message"]) for event in request["logEvents"]]
        if any(len(message.encode()) > EVENT_BYTES for _, message in events):
            raise InvalidParameterException(f"Log event too large: more than {EVENT_BYTES} bytes.")
        if events != sorted(events, key=lambda event: event[0]):
            raise InvalidParameterException(
                "Log events in a single PutLogEvents request must be in chronological order."
            )
        now = _milliseconds(ctx)
        old = sum(1 for moment, _ in events if moment < now - 14 * DAY_MS)
        new = sum(1 for moment, _ in events if moment > now + DAY_MS // 12)
        self._platform.logs.append(group, name, events[old : len(events) - new], now)
        answer: Document = {"nextSequenceToken": "0"}
        refused = {"tooOldLogEventEndIndex": old, "tooNewLogEventStartIndex": len(events) - new if new else 0}
        refused = {member: value for member, value in refused.items() if value}
        return {**answer, "rejectedLogEventsInfo": refused} if refused else answer

    def get_log_events(self, ctx: Context, request: api.GetLogEventsRequest) -> api.GetLogEventsResponse:
        """The events of one stream; a token that leads to nothing new is given back unchanged."""
        group = _address(ctx, _group(self._platform, ctx, request).name)
        name = request["logStreamName"]
        if not self._platform.logs.has_stream(group, name):
            raise ResourceNotFoundException(_NO_STREAM)
        forward, position = _read_token(request.get("nextToken"))
        window = Window(
            start=request.get("startTime", 0),
            end=request.get("endTime", 1 << 62),
            after=position if forward else None,
            before=None if forward else position,
            from_head=forward if position else request.get("startFromHead", False),
            limit=request.get("limit", MOST_EVENTS),
        )
        events = self._platform.logs.events(group, name, window)
        first, last = (
            ((events[0].time, events[0].id), (events[-1].time, events[-1].id)) if events else (position, position)
        )
        return {
            "events": [_event_members(event) for event in events],
            "nextForwardToken": _token("f", last),
            "nextBackwardToken": _token("b", first),
        }

    def filter_log_events(self, ctx: Context, request: api.FilterLogEventsRequest) -> api.FilterLogEventsResponse:
        """The events of a group's streams that match a pattern, by time."""
        group = _address(ctx, _group(self._platform, ctx, request).name)
        matches = matcher(request.get("filterPattern", ""))
        names = set(request.get("logStreamNames", ()))
        window = Window(start=request.get("startTime", 0), end=request.get("endTime", 1 << 62))
        found = [
            event
            for stream in self._platform.logs.streams(group, request.get("logStreamNamePrefix", ""))
            if not names or stream.name in names
            for event in self._platform.logs.events(group, stream.name, window)
            if matches(event.message)
        ]
        found.sort(key=lambda event: (event.time, event.stream, event.id))
        start, limit = _offset(request), request.get("limit", MOST_EVENTS)
        answer: api.FilterLogEventsResponse = {
            "events": [
                {**_event_members(event), "logStreamName": event.stream, "eventId": f"{event.time:020}{event.id:016}"}
                for event in found[start : start + limit]
            ],
            "searchedLogStreams": [],
        }
        if len(found) > start + limit:
            answer["nextToken"] = str(start + limit)
        return answer


_NO_GROUP = "The specified log group does not exist."
_NO_STREAM = "The specified log stream does not exist."


def _group(platform: Platform, ctx: Context, request: Members) -> Record:
    name = request.get("logGroupName") or _name_in(request.get("logGroupIdentifier", ""))
    record = platform.records.get(KIND, ctx.account, ctx.region, name)
    if record is None:
        raise ResourceNotFoundException(_NO_GROUP)
    return record


def _name_in(identifier: str) -> str:
    return identifier.rsplit(":log-group:", maxsplit=1)[-1].removesuffix(":*")


def _address(ctx: Context, name: str) -> str:
    return f"{ctx.account}/{ctx.region}/{name}"


def _arn(ctx: Context, name: str) -> str:
    return arn.build("logs", ctx.region, ctx.account, f"log-group:{name}:*")


def _milliseconds(ctx: Context) -> int:
    return int(ctx.now.timestamp() * 1000)


def _group_members(record: Record) -> api.LogGroup:
    members: api.LogGroup = {
        "logGroupName": record.name,
        "creationTime": int(record.created.timestamp() * 1000),
        "metricFilterCount": 0,
        "arn": record.arn,
        "logGroupArn": record.arn.removesuffix(":*"),
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
    }
    if "retentionInDays" in record.observed:
        members["retentionInDays"] = record.observed["retentionInDays"]
    return members


def _event_members(event: Event) -> api.OutputLogEvent:
    return {"timestamp": event.time, "message": event.message, "ingestionTime": event.ingested}


def _offset(request: Members) -> int:
    token = request.get("nextToken", "0")
    if not token.isdigit():
        raise InvalidParameterException("The specified nextToken is invalid.")
    return int(token)


_TOKEN = re.compile(r"([fb])/(\d+)/(\d+)")


def _token(direction: str, position: tuple[int, int] | None) -> str:
    moment, number = position or (0, 0)
    return f"{direction}/{moment}/{number}"


def _read_token(token: str | None) -> tuple[bool, tuple[int, int] | None]:
    if not token:
        return True, None
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidParameterException("The specified nextToken is invalid.")
    return match[1] == "f", (int(match[2]), int(match[3]))


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:  # noqa: ARG001  # the contract's shape
    """The action on the group, or on the stream where one is named."""
    name = request.get("logGroupName") or _name_in(str(request.get("logGroupIdentifier", "")))
    if ctx.operation == "DescribeLogGroups" or not name:
        return [Check(f"logs:{ctx.operation}")]
    stream = request.get("logStreamName")
    resource = f"log-group:{name}:log-stream:{stream}" if stream else f"log-group:{name}:*"
    return [Check(f"logs:{ctx.operation}", arn.build("logs", ctx.region, ctx.account, resource))]


SERVICE = Service("logs", Groups, Streams, access=access)
