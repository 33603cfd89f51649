"""Log events: written to streams, read back in pages, searched across the streams of a group."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clary.services.service import in_thread
from clary.store.logs import Event, Window

from .errors import InvalidParameterException, ResourceNotFoundException
from .filter_pattern import matcher
from .names import DAY_MS, address, group, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clary.api import logs as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

EVENT_BYTES = 1_048_576
MOST_EVENTS = 10_000
PAGE_BYTES = 1_048_576
"""A page holds at most this much text, as on AWS, but at least one event."""

MOST_LOOKED_AT = 100_000
"""A search that finds little gives an empty page with a token after this many events, as on AWS."""

Position = tuple[int, int]
"""Time and number of an event within its stream."""


class Events:
    """Events of streams."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_log_events(self, ctx: Context, request: api.PutLogEventsRequest) -> Document:
        """Adds events to a stream; times too old or too new are refused one by one, as AWS does."""
        where = address(ctx, group(self._platform, ctx, request).name)
        name = request["logStreamName"]
        if not self._platform.logs.has_stream(where, name):
            raise ResourceNotFoundException(NO_STREAM)
        events = [(event["timestamp"], event["message"]) for event in request["logEvents"]]
        if any(len(message.encode()) > EVENT_BYTES for _, message in events):
            raise InvalidParameterException(f"Log event too large: more than {EVENT_BYTES} bytes.")
        if events != sorted(events, key=lambda event: event[0]):
            raise InvalidParameterException(
                "Log events in a single PutLogEvents request must be in chronological order."
            )
        now = milliseconds(ctx)
        old = sum(1 for moment, _ in events if moment < now - 14 * DAY_MS)
        new = sum(1 for moment, _ in events if moment > now + DAY_MS // 12)
        self._platform.logs.append(where, name, events[old : len(events) - new], now)
        answer: Document = {"nextSequenceToken": "0"}
        refused = {"tooOldLogEventEndIndex": old, "tooNewLogEventStartIndex": len(events) - new if new else 0}
        refused = {member: value for member, value in refused.items() if value}
        return {**answer, "rejectedLogEventsInfo": refused} if refused else answer

    @in_thread
    def get_log_events(self, ctx: Context, request: api.GetLogEventsRequest) -> api.GetLogEventsResponse:
        """The events of one stream; a token that leads to nothing new is given back unchanged."""
        where = address(ctx, group(self._platform, ctx, request).name)
        name = request["logStreamName"]
        if not self._platform.logs.has_stream(where, name):
            raise ResourceNotFoundException(NO_STREAM)
        forward, position = _read_token(request.get("nextToken"))
        from_head = forward if position else request.get("startFromHead", False)
        window = Window(
            start=request.get("startTime", 0),
            end=request.get("endTime", 1 << 62),
            after=position if forward else None,
            before=None if forward else position,
            from_head=from_head,
            limit=request.get("limit", MOST_EVENTS),
        )
        events = _one_page(self._platform.logs.events(where, name, window), from_head=from_head)
        first, last = (_position(events[0]), _position(events[-1])) if events else (position, position)
        return {
            "events": [_members(event) for event in events],
            "nextForwardToken": _token("f", last),
            "nextBackwardToken": _token("b", first),
        }

    @in_thread
    def filter_log_events(self, ctx: Context, request: api.FilterLogEventsRequest) -> api.FilterLogEventsResponse:
        """The events of a group's streams that match a pattern, by time, in pages."""
        where = address(ctx, group(self._platform, ctx, request).name)
        matches = matcher(request.get("filterPattern", ""))
        names = set(request.get("logStreamNames", ()))
        streams = [
            stream.name
            for stream in self._platform.logs.streams(where, request.get("logStreamNamePrefix", ""))
            if not names or stream.name in names
        ]
        window = Window(start=request.get("startTime", 0), end=request.get("endTime", 1 << 62))
        after = _read_place(request.get("nextToken"))
        found: list[Event] = []
        size = 0
        last: Event | None = None
        for count, event in enumerate(self._platform.logs.merged(where, streams, window, after)):
            if len(found) >= request.get("limit", MOST_EVENTS) or size > PAGE_BYTES or count >= MOST_LOOKED_AT:
                break
            last = event
            if matches(event.message):
                found.append(event)
                size += len(event.message)
        else:
            last = None
        answer: api.FilterLogEventsResponse = {"events": [_found(event) for event in found], "searchedLogStreams": []}
        if last is not None:
            answer["nextToken"] = f"{last.time}/{last.id}/{last.stream}"
        return answer


NO_STREAM = "The specified log stream does not exist."


def _one_page(events: list[Event], *, from_head: bool) -> list[Event]:
    """As many events as a page holds, from the end where reading begins."""
    size = 0
    ordered: Iterable[Event] = events if from_head else reversed(events)
    page: list[Event] = []
    for event in ordered:
        size += len(event.message)
        if page and size > PAGE_BYTES:
            break
        page.append(event)
    return page if from_head else page[::-1]


def _members(event: Event) -> api.OutputLogEvent:
    return {"timestamp": event.time, "message": event.message, "ingestionTime": event.ingested}


def _found(event: Event) -> api.FilteredLogEvent:
    return {**_members(event), "logStreamName": event.stream, "eventId": f"{event.time:020}{event.id:016}"}


def _position(event: Event) -> Position:
    return event.time, event.id


_TOKEN = re.compile(r"([fb])/(\d+)/(\d+)")
_PLACE = re.compile(r"(\d+)/(\d+)/(.+)")


def _token(direction: str, position: Position | None) -> str:
    moment, number = position or (0, 0)
    return f"{direction}/{moment}/{number}"


def _read_token(token: str | None) -> tuple[bool, Position | None]:
    if not token:
        return True, None
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidParameterException("The specified nextToken is invalid.")
    return match[1] == "f", (int(match[2]), int(match[3]))


def _read_place(token: str | None) -> tuple[int, str, int] | None:
    """Time, stream and number of the event after which a search goes on."""
    if not token:
        return None
    match = _PLACE.fullmatch(token)
    if match is None:
        raise InvalidParameterException("The specified nextToken is invalid.")
    return int(match[1]), match[3], int(match[2])
