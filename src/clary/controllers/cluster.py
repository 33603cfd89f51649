"""The hosts of a job: one workload each, begun and ended together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clary.compute.base import Backend, Handle, Observation, Workload

PEER_GRACE_S = 10.0
"""Time between SIGTERM and SIGKILL of the hosts of which another one has failed."""

_ENDED = frozenset({"exited", "gone"})
_ORDER = ("starting", "running", "archiving")


@dataclass(frozen=True, slots=True)
class Host:
    """One instance of a cluster."""

    name: str
    """`algo-1`, `algo-2`, ..."""
    addresses: Mapping[str, str]
    """Of all hosts of the cluster, this one too, by name and in order."""
    bundle: Path
    workload_id: str
    lead: Path
    """The bundle of the first host."""

    @property
    def index(self) -> int:
        """The place of this host in the cluster, from 0."""
        return list(self.addresses).index(self.name)


class Cluster:
    """The hosts of one job on a backend."""

    def __init__(self, backend: Backend, job: str, folder: Path, count: int) -> None:
        self._backend = backend
        addresses = _addresses(job, count)
        lead = folder / next(iter(addresses))
        self.hosts = tuple(Host(name, addresses, folder / name, f"{job}/{name}", lead) for name in addresses)

    def find(self) -> list[Handle]:
        """The handles of workloads that were begun before, whatever became of them; of all hosts or of none.

        A platform that died between two starts leaves some: these are ended, as a cluster begins together.
        """
        found = [self._backend.find(host.workload_id, host.bundle) for host in self.hosts]
        begun = [handle for handle in found if handle is not None]
        if len(begun) == len(self.hosts):
            return begun
        for handle in begun:
            self._backend.delete(handle)
        return []

    def start(self, workloads: Sequence[Workload]) -> list[Handle]:
        """Begins the workload of each host."""
        return [self._backend.start(workload) for workload in workloads]

    def watch(self, handles: Sequence[Handle]) -> Observation:
        """What the hosts do, as if they were one; when one of them has failed, the others are ended."""
        seen = [self._backend.poll(handle) for handle in handles]
        going = [one for one in seen if one.phase not in _ENDED]
        if not going:
            end = _culprit(seen) or seen[-1]
            ends = [one.ended_at for one in seen if one.ended_at is not None]
            peak = max(one.peak_memory_bytes for one in seen)
            return replace(end, ended_at=max(ends, default=None), peak_memory_bytes=peak)
        if _culprit(seen) is not None:
            self.stop(handles, PEER_GRACE_S)
        return min(going, key=lambda one: _ORDER.index(one.phase))

    def failed(self, handles: Sequence[Handle]) -> Host:
        """The host that failed first; the first of all when none did."""
        seen = [self._backend.poll(handle) for handle in handles]
        culprit = _culprit(seen)
        return self.hosts[0 if culprit is None else seen.index(culprit)]

    def stop(self, handles: Sequence[Handle], grace_s: float) -> None:
        """Asks every host for its end."""
        for handle in handles:
            self._backend.stop(handle, grace_s)

    def delete(self) -> None:
        """Takes away what the hosts hold outside their bundles."""
        for host in self.hosts:
            handle = self._backend.find(host.workload_id, host.bundle)
            if handle is not None:
                self._backend.delete(handle)


def _culprit(seen: Sequence[Observation]) -> Observation | None:
    """The end that was first among the failures."""
    failures = [one for one in seen if one.phase in _ENDED and one.exit_code != 0]
    return min(failures, key=lambda one: one.ended_at or datetime.max.replace(tzinfo=UTC), default=None)


def _addresses(job: str, count: int) -> dict[str, str]:
    """Addresses of the loopback network, which the hosts of a job have for themselves if there are several."""
    if count == 1:
        return {"algo-1": "127.0.0.1"}
    digest = hashlib.sha256(job.encode()).digest()
    # Below 127.16 lie addresses that people and systems use by hand.
    first, second = 16 + digest[0] % 224, digest[1]
    return {f"algo-{index}": f"127.{first}.{second}.{index}" for index in range(1, count + 1)}
