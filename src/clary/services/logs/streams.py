"""Log streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.service import in_thread

from .errors import InvalidParameterException, ResourceAlreadyExistsException, ResourceNotFoundException
from .names import address, group, milliseconds

if TYPE_CHECKING:
    from clary.api import logs as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members


class Streams:
    """Making, describing and removing streams."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def create_log_stream(self, ctx: Context, request: api.CreateLogStreamRequest) -> None:
        """Makes an empty stream."""
        where = address(ctx, group(self._platform, ctx, request).name)
        if not self._platform.logs.create_stream(where, request["logStreamName"], milliseconds(ctx)):
            raise ResourceAlreadyExistsException("The specified log stream already exists")

    @in_thread
    def delete_log_stream(self, ctx: Context, request: api.DeleteLogStreamRequest) -> None:
        """Removes a stream with its events."""
        where = address(ctx, group(self._platform, ctx, request).name)
        if not self._platform.logs.delete_stream(where, request["logStreamName"]):
            raise ResourceNotFoundException("The specified log stream does not exist.")

    def describe_log_streams(self, ctx: Context, request: api.DescribeLogStreamsRequest) -> Document:
        """The streams of a group, by name or by their last event."""
        by_time = request.get("orderBy") == "LastEventTime"
        prefix = request.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
        record = group(self._platform, ctx, request)
        streams = self._platform.logs.streams(
            address(ctx, record.name), prefix, by_time=by_time, descending=request.get("descending", False)
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


def _offset(request: Members) -> int:
    token = request.get("nextToken", "0")
    if not token.isdigit():
        raise InvalidParameterException("The specified nextToken is invalid.")
    return int(token)
