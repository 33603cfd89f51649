"""Replicas of objects: in other buckets of the platform, or behind endpoints that were registered."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary import object_events
from clary.auth.check import Check
from clary.auth.credentials import role_session
from clary.context import Context
from clary.controllers.outbox import LONGEST_PAUSE_S, STEP_S, Failed, Outbox, Unreachable
from clary.controllers.replica_elsewhere import Clients, ReplicaElsewhere
from clary.controllers.replica_here import ReplicaHere
from clary.controllers.replicas import Refused, Replicas
from clary.destinations import Destinations
from clary.errors import ServiceError
from clary.object_events import Happening

if TYPE_CHECKING:
    from datetime import datetime

    from clary.platform import Platform
    from clary.store.objects import Meta, Version
    from clary.store.objects.events import Pending
    from clary.store.records import Record

REPLICATE = "replicate "
PATIENCE = timedelta(hours=24)
"""How long a replica is tried to make before its object is said to have failed."""

log = logging.getLogger(__name__)


class BucketReplicationController:
    """Replicates what was written to a bucket."""

    kind = "bucket-replication"

    def __init__(self, platform: Platform, step_s: float = STEP_S) -> None:
        self._platform = platform
        self._destinations = Destinations(platform.records, platform.keyring, platform.settings.account)
        self._clients = Clients()
        self._outbox = Outbox(platform, REPLICATE, self._open, step_s)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Replicates for a while; comes again when something failed, or when there is more."""
        return self._outbox.step(record, now)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:  # noqa: ARG002  # the contract's shape
        """What is to be replicated stays; it is tried again later."""
        return replace(record, due=now + timedelta(seconds=LONGEST_PAUSE_S))

    def _open(self, bucket: str, arn: str) -> Replication:
        source = self._platform.records.by_arn(f"arn:aws:s3:::{bucket}")
        destination = self._destinations.find(arn)
        replicas: Replicas = (
            ReplicaElsewhere(self._platform, destination, self._clients)
            if destination is not None
            else ReplicaHere(self._platform, arn)
        )
        return Replication(self._platform, source, replicas, arn)


class Replication:
    """What one bucket receives from another, on behalf of the roles that the rules name."""

    def __init__(self, platform: Platform, source: Record | None, replicas: Replicas, arn: str) -> None:
        self._platform = platform
        self._source = source
        self._replicas = replicas
        self._arn = arn

    def send(self, event: Pending) -> None:
        """Makes, or brings up to date, one replica; tells the original what came of it.

        Raises:
            Unreachable: the endpoint cannot be reached, and there is time to try again.
            Failed: it cannot be done now.
        """
        version = self._platform.objects.index.get(event.bucket, event.key, event.event["VersionId"], content=True)
        if version is None or self._source is None:
            return
        try:
            self._allow(self._source, version, event)
            self._replicas.make(version, event)
        except (Refused, ServiceError) as error:
            self._fail(self._source, version, event, str(error))
        except (Unreachable, Failed) as error:
            if event.at + PATIENCE.total_seconds() > self._platform.clock.now().timestamp():
                raise
            self._fail(self._source, version, event, str(error))

    def close(self) -> None:
        """Ends connections."""
        self._replicas.close()

    def _allow(self, source: Record, version: Version, event: Pending) -> None:
        """Accepts what the role may do, at both ends as far as they are of this platform."""
        role = self._platform.records.by_arn(event.event["Role"])
        if role is None or not self._platform.authorizer.trusts_service(role, "s3.amazonaws.com"):
            raise Refused(f"the role {event.event['Role']} does not exist, or does not trust s3.amazonaws.com")
        now = self._platform.clock.now()
        principal = role_session(role, "s3-replication", (), {})
        ctx = Context(
            f"replication-{event.id}", source.account, source.spec["Region"], principal, "s3", "PutObject", now
        )
        checks = [] if version.deleted else [_check("s3:GetObjectVersionForReplication", source, version.key)]
        target = self._replicas.bucket
        if target is not None:
            action = {"marker": "s3:ReplicateDelete", "description": "s3:ReplicateTags"}.get(
                event.event["What"], "s3:ReplicateObject"
            )
            checks.append(_check(action, target, version.key))
        self._platform.authorizer.authorize(ctx, checks)

    def _fail(self, source: Record, version: Version, event: Pending, reason: str) -> None:
        log.warning("%s/%s is not replicated to %s: %s", event.bucket, event.key, self._arn, reason)
        if version.deleted:
            return
        with self._platform.objects.index.transaction():
            self._platform.objects.index.edit(version, lambda meta: told(meta, self._arn, "FAILED"))
            name = "Replication:OperationFailedReplication"
            happening = Happening.by_platform(name, version, self._platform.clock.now(), version.version_id)
            object_events.tell(self._platform, source, happening)


def told(meta: Meta, arn: str, status: str) -> None:
    """Notes how it stands with one replica of an object."""
    if arn in meta.replication:
        meta.replication[arn] = status


def _check(action: str, bucket: Record, key: str) -> Check:
    policy = bucket.spec.get("Policy")
    return Check(action, f"{bucket.arn}/{key}", {}, (policy,) if policy else (), bucket.account)
