"""CloudTrail: the event history of the account, answered from the audit log; there are no trails besides."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from clary.audit.record import record
from clary.errors import NotSupported, ServiceError
from clary.services.service import Service, in_thread
from clary.store.audit import Search
from clary.store.audit.resources import resource_name, resource_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from clary.api import cloudtrail as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.audit import Event
    from clary.store.audit.search import Cursor

PAGE = 50
HISTORY = timedelta(days=90)


class InvalidTimeRangeException(ServiceError):
    """The end lies before the start."""


class InvalidLookupAttributesException(ServiceError):
    """An attribute has a value that it cannot have."""


class InvalidNextTokenException(ServiceError):
    """The token was not given out by LookupEvents."""


class EventHistory:
    """The management events of the last 90 days, in whatever region."""

    def __init__(self, platform: Platform) -> None:
        self._audit = platform.audit

    @in_thread
    def lookup_events(self, ctx: Context, request: api.LookupEventsRequest) -> Document:
        """The newest events that have an attribute, within a span of time."""
        if request.get("EventCategory"):
            raise NotSupported("Clary does not support CloudTrail Insights events (EventCategory).")
        limit = request.get("MaxResults", PAGE)
        since, until = _span(request, ctx.now)
        after = _cursor(request["NextToken"]) if request.get("NextToken") else None
        search = Search(
            account=ctx.account, since=since, until=until, management=True, after=after, limit=limit,
            **_attributes(request.get("LookupAttributes", [])),
        )  # fmt: skip
        page = self._audit.search(search)
        answer: Document = {"Events": [_event(event) for event in page.events]}
        return {**answer, "NextToken": _token(page.next)} if page.next else answer

    def describe_trails(self, ctx: Context, request: api.DescribeTrailsRequest) -> Document:  # noqa: ARG002  # as all handlers
        """None: the event history needs no trail."""
        return {"trailList": []}

    def list_trails(self, ctx: Context, request: api.ListTrailsRequest) -> Document:  # noqa: ARG002  # as all handlers
        """None: the event history needs no trail."""
        return {"Trails": []}


SERVICE = Service("cloudtrail", EventHistory)


def _span(request: api.LookupEventsRequest, now: datetime) -> tuple[datetime, datetime | None]:
    oldest = now - HISTORY
    since = max(_aware(request.get("StartTime", oldest)), oldest)
    until = _aware(request["EndTime"]) if "EndTime" in request else None
    if until is not None and "StartTime" in request and _aware(request["StartTime"]) > until:
        raise InvalidTimeRangeException("The start time cannot be later than the end time.")
    return since, until


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _attributes(attributes: list[api.LookupAttribute]) -> dict[str, Any]:
    if len(attributes) > 1:
        raise InvalidLookupAttributesException("You can specify only one lookup attribute.")
    return {key: value for each in attributes for key, value in _SEARCHED[each["AttributeKey"]](each["AttributeValue"])}


def _flag(value: str) -> list[tuple[str, Any]]:
    if value not in ("true", "false"):
        raise InvalidLookupAttributesException(f"The value of ReadOnly must be true or false, not {value}.")
    return [("read_only", value == "true")]


def _as(member: str) -> Callable[[str], list[tuple[str, Any]]]:
    return lambda value: [(member, value)]


_SEARCHED: Mapping[str, Callable[[str], list[tuple[str, Any]]]] = {
    "AccessKeyId": _as("access_key"),
    "EventId": _as("id"),
    "EventName": _as("operation"),
    "EventSource": _as("source"),
    "ReadOnly": _flag,
    "ResourceName": _as("resource"),
    "ResourceType": _as("resource_type"),
    "Username": _as("username"),
}


def _event(event: Event) -> Document:
    told: Document = {
        "EventId": event.id,
        "EventName": event.operation,
        "ReadOnly": str(event.read_only).lower(),
        "EventTime": event.moment,
        "EventSource": event.source,
        "Resources": [
            {"ResourceType": resource_type(arn), "ResourceName": resource_name(arn)} for arn in event.resources
        ],
        "CloudTrailEvent": orjson.dumps(record(event)).decode(),
    }
    optional = {"AccessKeyId": event.who.key, "Username": event.who.username}
    return {**told, **{name: value for name, value in optional.items() if value}}


def _token(cursor: Cursor) -> str:
    return base64.b64encode(orjson.dumps(cursor)).decode()


def _cursor(token: str) -> Cursor:
    try:
        time, identifier = orjson.loads(base64.b64decode(token, validate=True))
        return int(time), str(identifier)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidNextTokenException("The token is not valid.") from error
