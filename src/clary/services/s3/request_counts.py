"""Request metrics of buckets: what the metrics configurations ask CloudWatch to be told of each minute.

Source: "Metrics and dimensions", "Amazon S3 request metrics in CloudWatch", Amazon S3 user guide.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.store.metrics import Metric, Point

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.audit.trail import Attempt
    from clary.http import Request, Response
    from clary.store.records import Record

NAMESPACE = "AWS/S3"
MINUTE_S = 60

_LISTS = ("ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads")
_METHODS: Mapping[str, str] = {
    "GET": "GetRequests",
    "PUT": "PutRequests",
    "HEAD": "HeadRequests",
    "POST": "PostRequests",
    "DELETE": "DeleteRequests",
}
_OPERATIONS: Mapping[str, str] = {
    **dict.fromkeys(_LISTS, "ListRequests"),
    "DeleteObjects": "DeleteRequests",
    "SelectObjectContent": "SelectRequests",
}

Place = tuple[str, str, str, int]
"""Scope, bucket, filter and minute of a sum."""


@dataclass(slots=True)
class Sum:
    """Several values of one metric within a minute."""

    count: int = 0
    sum: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, value: float) -> None:
        """Takes a value in."""
        self.count += 1
        self.sum += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)


class RequestCounts:
    """The sums of the minutes that are not told yet; used from the event loop alone."""

    def __init__(self) -> None:
        self._sums: dict[Place, dict[tuple[str, str], Sum]] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    def add(
        self, bucket: Record, configuration: str, attempt: Attempt, values: Mapping[tuple[str, str], float]
    ) -> None:
        """Counts a request for one configuration of its bucket."""
        minute = int(attempt.now.timestamp()) // MINUTE_S * MINUTE_S
        place = (f"{bucket.account}/{bucket.spec['Region']}", bucket.name, configuration, minute)
        sums = self._sums.setdefault(place, {})
        for name, value in values.items():
            sums.setdefault(name, Sum()).add(value)

    def take(self, before: float) -> dict[str, list[tuple[Metric, Point]]]:
        """The data points of the minutes that have ended, by scope; they are forgotten here."""
        taken: dict[str, list[tuple[Metric, Point]]] = {}
        for place in [place for place in self._sums if place[3] + MINUTE_S <= before]:
            taken.setdefault(place[0], []).extend(_points(place, self._sums.pop(place)))
        return taken


def configurations(bucket: Record, key: str) -> Iterator[str]:
    """The metrics configurations of a bucket whose filters mean a key."""
    for name, configuration in (bucket.spec.get("MetricsConfiguration") or {}).items():
        if key.startswith((configuration.get("Filter") or {}).get("Prefix") or ""):
            yield name


def values(http: Request, attempt: Attempt, response: Response) -> dict[tuple[str, str], float]:
    """What one request adds, by name and unit of the metric."""
    spent_ms = (time.perf_counter() - attempt.began) * 1000
    found: dict[tuple[str, str], float] = {
        ("AllRequests", "Count"): 1,
        ("4xxErrors", "Count"): 400 <= response.status < 500,
        ("5xxErrors", "Count"): response.status >= 500,
        ("FirstByteLatency", "Milliseconds"): spent_ms,
        ("TotalRequestLatency", "Milliseconds"): spent_ms,
    }
    kind = _OPERATIONS.get(attempt.operation) or _METHODS.get(http.method)
    if kind is not None:
        found[kind, "Count"] = 1
    if http.method == "GET":
        found["BytesDownloaded", "Bytes"] = sent_bytes(http, response)
    if http.method in ("PUT", "POST"):
        found["BytesUploaded", "Bytes"] = received_bytes(http)
    return found


def sent_bytes(http: Request, response: Response) -> int:
    """The size of the body of an answer; 0 when nobody says it."""
    if http.method == "HEAD":
        return 0
    if isinstance(response.body, bytes):
        return len(response.body)
    # Written by the model, in its letters, or by a handler.
    length = response.headers.get("Content-Length") or response.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


def received_bytes(http: Request) -> int:
    """The size of the body of a request, without the frames of chunks; 0 when nobody says it."""
    length = http.headers.get("x-amz-decoded-content-length") or http.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


def _points(place: Place, sums: Mapping[tuple[str, str], Sum]) -> Iterator[tuple[Metric, Point]]:
    _, bucket, configuration, minute = place
    dimensions = {"BucketName": bucket, "FilterId": configuration}
    for (name, unit), each in sums.items():
        yield Metric(NAMESPACE, name, dimensions), Point(minute, each.count, each.sum, each.low, each.high, unit)
