"""Looks at the requests of buckets that have logging or request metrics turned on; the others cost a look-up.

Lines and sums wait in memory for a moment and are written by a thread, so that no request waits for them. A process
that is killed loses what it had not written: delivery is on a best effort basis, as on AWS.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from clary.services.s3.bucket import find
from clary.services.s3.log_line import log_line
from clary.services.s3.request_counts import RequestCounts, configurations, values
from clary.store.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.audit.trail import Attempt
    from clary.http import Request, Response
    from clary.platform import Platform
    from clary.store.metrics import Metric, Point
    from clary.store.records import Record

FLUSH_S = 2.0
"""How long lines wait in memory."""

FOLDER = "access-logs"

log = logging.getLogger(__name__)


class RequestWatch:
    """What one process has seen and not written yet."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._spool = Spool(platform.settings.home / FOLDER)
        self._lines: dict[tuple[str, str, str], list[str]] = {}
        self._counts = RequestCounts()
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, http: Request, parameters: Mapping[str, str], attempt: Attempt, response: Response) -> None:
        """Takes one request in; called on the event loop."""
        try:
            bucket = self._watched(parameters.get("Bucket", ""))
            if bucket is not None:
                self._see(http, parameters, attempt, response, bucket)
        except Exception:  # a fault here must not turn an answer into an error
            log.exception("the request %s is missing in access logs or metrics", attempt.id)

    def _see(
        self, http: Request, parameters: Mapping[str, str], attempt: Attempt, response: Response, bucket: Record
    ) -> None:
        if bucket.spec.get("BucketLoggingStatus"):
            place = (bucket.account, bucket.spec["Region"], bucket.name)
            self._lines.setdefault(place, []).append(log_line(http, parameters, attempt, response, bucket))
        if bucket.spec.get("MetricsConfiguration"):
            self._count(http, parameters, attempt, response, bucket)
        if self._timer is None and (self._lines or self._counts):
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush_aside)

    def _watched(self, name: str) -> Record | None:
        """The bucket, if it has anything written down of its requests."""
        bucket = find(self._platform, name)
        if bucket is not None and (bucket.spec.get("BucketLoggingStatus") or bucket.spec.get("MetricsConfiguration")):
            return bucket
        return None

    def flush(self) -> None:
        """Writes all that waits, that of the present minute included; for the end of the process."""
        lines, self._lines = self._lines, {}
        self._write(lines, self._counts.take(float("inf")))

    def _count(
        self, http: Request, parameters: Mapping[str, str], attempt: Attempt, response: Response, bucket: Record
    ) -> None:
        found = values(http, attempt, response)
        for configuration in configurations(bucket, parameters.get("Key", "")):
            self._counts.add(bucket, configuration, attempt, found)

    def _flush_aside(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        lines, self._lines = self._lines, {}
        loop.run_in_executor(None, self._write, lines, self._counts.take(self._platform.clock.now().timestamp()))
        if self._counts:
            self._timer = loop.call_later(FLUSH_S, self._flush_aside)

    def _write(
        self, lines: dict[tuple[str, str, str], list[str]], points: dict[str, list[tuple[Metric, Point]]]
    ) -> None:
        try:
            for place, several in lines.items():
                self._spool.append(place, str(os.getpid()), "\n".join(several).encode())
            for scope, each in points.items():
                self._platform.metrics.put(scope, each)
        except Exception:  # nobody waits for it, and the next ones may succeed
            log.exception("access logs or request metrics are lost")
