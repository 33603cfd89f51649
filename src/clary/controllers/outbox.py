"""What waits to be sent for a bucket, target by target: at least once each, in order for each key.

A message that its receiver stumbles over holds back the later ones of its key, but not those of others; a receiver that
cannot be reached is left alone for ever longer pauses.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.platform import Platform
    from clary.store.objects.events import Pending
    from clary.store.records import Record

STEP_S = 5.0
WINDOW = 500
IDLE = timedelta(hours=1)
LONGEST_PAUSE_S = 300.0

log = logging.getLogger(__name__)


class Unreachable(Exception):
    """The receiver could not be asked, or has no answer now; it may have one later."""


class Failed(Exception):
    """The receiver stumbled over this message; it may take it later, and others now."""


class Receiver(Protocol):
    """Where the messages of one target go, as long as a step lasts."""

    def send(self, event: Pending) -> None:
        """Sends one message for good; it may have been sent before.

        Raises:
            Unreachable: it is no use to try others now.
            Failed: others may be sent, but for those of the same key.
        """
        ...

    def close(self) -> None:
        """Ends connections."""
        ...


class Outbox:
    """Works through the messages of a bucket whose targets begin with `prefix`."""

    def __init__(self, platform: Platform, prefix: str, open_: Callable[[str, str], Receiver], step_s: float) -> None:
        self._platform = platform
        self._events = platform.objects.events
        self._prefix = prefix
        self._open = open_
        self._step_s = step_s

    def step(self, record: Record, now: datetime) -> Record | None:
        """Sends for a while; the record, named after its bucket, tells which receivers are left alone until when."""
        until = time.monotonic() + self._step_s
        targets = self._events.targets(record.name, self._prefix)
        if not targets and self._platform.records.by_arn(f"arn:aws:s3:::{record.name}") is None:
            return None
        lanes = {target: Lane.of(record.observed.get(target)) for target in targets}
        due = [self._work(record.name, target, lane, until) for target, lane in lanes.items()]
        observed = {target: lane.told() for target, lane in lanes.items() if lane.failures}
        return replace(record, due=min(due, default=now + IDLE), observed=observed)

    def _work(self, bucket: str, target: str, lane: Lane, until: float) -> datetime:
        """Sends what waits for one target; tells when to come again."""
        now = self._platform.clock.now()
        if lane.until > now.timestamp():
            return _moment(lane.until)
        receiver = None
        try:
            receiver = self._open(bucket, target.removeprefix(self._prefix))
            due = self._send_all(bucket, target, receiver, until)
        except Unreachable as error:
            log.info("events of %s wait: %s", bucket, error)
            lane.fail(now.timestamp())
            return _moment(lane.until)
        else:
            lane.failures = 0
            return due
        finally:
            if receiver is not None:
                receiver.close()

    def _send_all(self, bucket: str, target: str, receiver: Receiver, until: float) -> datetime:
        pending = self._events.pending(bucket, target, WINDOW)
        held: dict[str, float] = {}
        sent = 0
        for event in pending:
            now = self._platform.clock.now()
            if event.key in held:
                continue
            if event.attempts and event.due > now.timestamp():
                held[event.key] = event.due
            elif time.monotonic() > until:
                return now
            else:
                sent += 1
                self._send(event, receiver, now, held)
        now = self._platform.clock.now()
        if sent and len(pending) == WINDOW:
            return now
        return _moment(min(held.values())) if held else now + IDLE

    def _send(self, event: Pending, receiver: Receiver, now: datetime, held: dict[str, float]) -> None:
        try:
            receiver.send(event)
        except Failed as error:
            log.info("an event of %s waits: %s", event.bucket, error)
            held[event.key] = now.timestamp() + pause_s(event.attempts)
            self._events.again(event, held[event.key])
        else:
            self._events.done([event])


class Lane:
    """How the calls to one receiver went: how often they failed in a row, and until when it is left alone."""

    def __init__(self, failures: int, until: float) -> None:
        self.failures = failures
        self.until = until

    @classmethod
    def of(cls, told: dict[str, Any] | None) -> Lane:
        """What `told` told."""
        return cls(told["Failures"], told["Until"]) if told else cls(0, 0.0)

    def told(self) -> dict[str, Any]:
        """For the record."""
        return {"Failures": self.failures, "Until": self.until}

    def fail(self, now: float) -> None:
        """Waits longer each time."""
        self.until = now + pause_s(self.failures)
        self.failures += 1


def pause_s(failures: int) -> float:
    """How long to wait after an attempt that failed, with so many failures before it."""
    return float(min(2.0 ** min(failures, 10), LONGEST_PAUSE_S))


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
