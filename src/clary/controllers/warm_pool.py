"""What is kept between training jobs of a warm pool: the place in the line, and a folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary import warm_pools
from clary.agent.bundle import remove
from clary.agent.workload import Bind
from clary.controllers.loop import OWNER
from clary.quotas import WARM_POOL, Quota, Quotas, ResourceLimitExceeded
from clary.warm_pools import POOL

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from clary.controllers.cluster import Host
    from clary.platform import Platform
    from clary.store.records import Record

CACHE = "/opt/ml/sagemaker/warmpoolcache"
CACHE_VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"

SOUND = ("AlgorithmError", "ClientError")
"""Failures that are no fault of the instances begin so."""


class WarmPools:
    """The pools of the training jobs of this platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def keep(self, record: Record, now: datetime) -> Record:
        """The record of a job that has ended, with its pool kept or given up."""
        if POOL not in record.observed:
            return record
        if warm_pools.status(record) != "InUse":
            return self.give_up(record, now)
        with self._platform.records.together():
            if lasts(record) and self._has_room(record):
                # Stored together with the count, so that no two pools take the last room of the quota.
                record = self._platform.records.update(warm_pools.kept(record, now))
        if warm_pools.status(record) != "Available":
            return self.give_up(record, now)
        self._wake_owner(record, now)
        return record

    def wait(self, record: Record, now: datetime) -> Record:
        """The record of a job whose pool waits for the next one, or has waited long enough."""
        until = warm_pools.moment(record, "Until")
        if now < until:
            return replace(record, due=until)
        # Stored first: no job may take a pool over whose folder is about to go.
        record = self._platform.records.update(warm_pools.ended(record, "Terminated", now))
        return self.give_up(record, now)

    def give_up(self, record: Record, now: datetime) -> Record:
        """The record of a job whose pool is at its end; removes its folder."""
        remove(self._folder(record))
        ended = warm_pools.status(record) == "Terminated"
        return replace(record if ended else warm_pools.ended(record, "Terminated", now), due=None)

    def cache(self, record: Record, host: Host) -> list[Bind]:
        """The folder in which the jobs of a pool leave what the next ones on the same instance shall find."""
        if POOL not in record.observed:
            return []
        # The nodes of a cluster know the folder by its own name alone.
        folder = self._folder(record) / f"{record.observed[POOL]['Id']}-{host.name}"
        folder.mkdir(parents=True, exist_ok=True)
        inside = host.bundle / "ml" / "sagemaker" / "warmpoolcache"
        inside.parent.mkdir(parents=True, exist_ok=True)
        if self._platform.sandboxes:
            inside.mkdir(exist_ok=True)
        elif not inside.is_symlink():
            inside.symlink_to(folder)
        return [Bind(folder, CACHE, writable=True)]

    def _folder(self, record: Record) -> Path:
        folder = self._platform.settings.home / "warm-pools" / record.account / record.region
        return folder / str(record.observed[POOL]["Id"])

    def _has_room(self, record: Record) -> bool:
        resources = record.spec["ResourceConfig"]
        quotas = Quotas(self._platform, record.account, record.region)
        try:
            quotas.check(Quota(WARM_POOL, resources["InstanceType"]), int(resources.get("InstanceCount", 1)))
        except ResourceLimitExceeded:
            return False
        return True

    def _wake_owner(self, record: Record, now: datetime) -> None:
        """The next job of a tuning job may have the pool at once."""
        owner = self._platform.records.by_arn(record.observed[OWNER]) if OWNER in record.observed else None
        if owner is not None:
            self._platform.records.touch(owner.kind, owner.account, owner.region, owner.name, now)


def lasts(record: Record) -> bool:
    """Whether the instances of a job that has ended are to be kept."""
    begun = (entry["Status"] for entry in record.observed["SecondaryStatusTransitions"])
    launched = "From" in record.observed[POOL] or "Downloading" in begun
    sound = record.status != "Failed" or record.observed.get("FailureReason", "").startswith(SOUND)
    return launched and sound and warm_pools.keep_alive_s(record.spec) > 0
