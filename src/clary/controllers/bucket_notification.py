"""Event messages of buckets on their way to the webhooks behind topics, queues and functions."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson

from clary.controllers.outbox import LONGEST_PAUSE_S, STEP_S, Outbox, Unreachable
from clary.controllers.webhook import Refused, Webhook
from clary.destinations import Destinations
from clary.object_events import NOTIFICATION, NOTIFY

if TYPE_CHECKING:
    from datetime import datetime

    from clary.clock import Clock
    from clary.platform import Platform
    from clary.store.objects.events import Pending
    from clary.store.records import Record

PATIENCE = timedelta(hours=24)
"""How long a message is tried again; a day, as EventBridge does."""

MAX_BACKLOG = 100_000
"""Messages that wait for one destination of a bucket; the earliest are dropped when there are more."""

log = logging.getLogger(__name__)


class BucketNotificationController:
    """Delivers what happened to the objects of a bucket."""

    kind = NOTIFICATION

    def __init__(self, platform: Platform, step_s: float = STEP_S) -> None:
        self._platform = platform
        self._destinations = Destinations(platform.records, platform.keyring, platform.settings.account)
        self._outbox = Outbox(platform, NOTIFY, self._open, step_s)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Delivers for a while; comes again when a message failed, or when there are more."""
        return self._outbox.step(record, now)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:  # noqa: ARG002  # the contract's shape
        """What is to be told stays; it is tried again later."""
        return replace(record, due=now + timedelta(seconds=LONGEST_PAUSE_S))

    def _open(self, bucket: str, arn: str) -> _Delivery:
        since = (self._platform.clock.now() - PATIENCE).timestamp()
        dropped = self._platform.objects.events.limit(bucket, NOTIFY + arn, since, MAX_BACKLOG)
        if dropped:
            log.warning("%d events of %s for %s are dropped: they are too old or too many", dropped, bucket, arn)
        destination = self._destinations.find(arn)
        if destination is None:
            raise Unreachable(f"nobody registered {arn}")
        return _Delivery(Webhook(destination), self._platform.clock)


class _Delivery:
    """Messages for one webhook; what it refuses is dropped, as SNS does with answers that blame the client."""

    def __init__(self, webhook: Webhook, clock: Clock) -> None:
        self._webhook = webhook
        self._clock = clock

    def send(self, event: Pending) -> None:
        try:
            self._webhook.post(orjson.dumps(event.event), int(self._clock.now().timestamp()))
        except Refused as error:
            log.warning("an event of %s is dropped: %s", event.bucket, error)

    def close(self) -> None:
        self._webhook.close()
