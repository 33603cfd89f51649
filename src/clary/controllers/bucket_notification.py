"""Event messages of buckets on their way to the webhooks behind topics, queues and functions.

Each message arrives at least once; those about one key arrive in order, since a message that failed holds back the
later ones of its key, but not those of others.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from clary.controllers.webhook import Failed, Refused, Unreachable, Webhook
from clary.destinations import Destinations
from clary.object_events import NOTIFICATION, NOTIFY

if TYPE_CHECKING:
    from clary.platform import Platform
    from clary.store.objects.events import Pending
    from clary.store.records import Record

STEP_S = 5.0
WINDOW = 500
IDLE = timedelta(hours=1)
PATIENCE = timedelta(hours=24)
"""How long a message is tried again; a day, as EventBridge does."""

MAX_BACKLOG = 100_000
"""Messages that wait for one destination of a bucket; the earliest are dropped when there are more."""

LONGEST_PAUSE_S = 300.0

log = logging.getLogger(__name__)


class BucketNotificationController:
    """Delivers what happened to the objects of a bucket."""

    kind = NOTIFICATION

    def __init__(self, platform: Platform, step_s: float = STEP_S) -> None:
        self._platform = platform
        self._events = platform.objects.events
        self._step_s = step_s
        self._destinations = Destinations(platform.records, platform.keyring, platform.settings.account)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Delivers for a while; comes again when a message failed, or when there are more."""
        until = time.monotonic() + self._step_s
        targets = self._events.targets(record.name, NOTIFY)
        if not targets and self._platform.records.by_arn(f"arn:aws:s3:::{record.name}") is None:
            return None
        lanes = {target: Lane.of(record.observed.get(target)) for target in targets}
        due = [self._deliver(record.name, target, lane, until) for target, lane in lanes.items()]
        observed = {target: lane.told() for target, lane in lanes.items() if lane.failures}
        return replace(record, due=min(due, default=now + IDLE), observed=observed)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:  # noqa: ARG002  # the contract's shape
        """What is to be told stays; it is tried again later."""
        return replace(record, due=now + timedelta(seconds=LONGEST_PAUSE_S))

    def _deliver(self, bucket: str, target: str, lane: Lane, until: float) -> datetime:
        """Tells one destination what it has not heard; tells when to come again."""
        now = self._platform.clock.now()
        if lane.until > now.timestamp():
            return _moment(lane.until)
        dropped = self._events.limit(bucket, target, (now - PATIENCE).timestamp(), MAX_BACKLOG)
        if dropped:
            log.warning("%d events of %s for %s are dropped: they are too old or too many", dropped, bucket, target)
        webhook = self._webhook(target)
        try:
            due = self._send_all(self._events.pending(bucket, target, WINDOW), webhook, until)
        except Unreachable as error:
            log.info("events of %s wait: %s", bucket, error)
            lane.fail(now.timestamp())
            return _moment(lane.until)
        else:
            lane.failures = 0
            return due
        finally:
            if webhook is not None:
                webhook.close()

    def _send_all(self, pending: list[Pending], webhook: Webhook | None, until: float) -> datetime:
        """Sends what is due, in order for each key."""
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
                self._send(event, webhook, now, held)
        now = self._platform.clock.now()
        if sent and len(pending) == WINDOW:
            return now
        return _moment(min(held.values())) if held else now + IDLE

    def _send(self, event: Pending, webhook: Webhook | None, now: datetime, held: dict[str, float]) -> None:
        if webhook is None:
            raise Unreachable("nobody registered the destination")
        try:
            webhook.post(orjson.dumps(event.event), int(now.timestamp()))
        except Failed:
            held[event.key] = now.timestamp() + pause_s(event.attempts)
            self._events.again(event, held[event.key])
            return
        except Refused as error:
            log.warning("an event of %s is dropped: %s", event.bucket, error)
        self._events.done([event.id])

    def _webhook(self, target: str) -> Webhook | None:
        destination = self._destinations.find(target.removeprefix(NOTIFY))
        return Webhook(destination) if destination is not None else None


class Lane:
    """How the calls to one destination went: how often they failed in a row, and until when it is left alone."""

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
    return float(min(2.0**failures, LONGEST_PAUSE_S))


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
