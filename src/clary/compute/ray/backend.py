"""Workloads on a Ray cluster; what belongs to this machine stays on it."""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import bundle
from clary.agent.workload import Task
from clary.compute.base import Handle, Observation, Usage, Workload
from clary.compute.process import ProcessBackend
from clary.compute.ray import wire
from clary.compute.ray.cluster import Unreachable
from clary.compute.ray.follower import PLACE, ROOM, Follower
from clary.compute.ray.placement import Placement
from clary.compute.ray.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clary.compute.probe import Machine
    from clary.compute.session import Completed, Session

_LOG = logging.getLogger(__name__)

ELSEWHERE = frozenset({"training-job", "processing-job", "transform-job", "endpoint"})
"""The kinds of records whose workloads run on the cluster: notebooks and EC2 instances keep their disks here."""

SWEEP_S = 60.0
"""How often to look for what was left on the cluster."""

_IDENTITY = "ray.id"


class RayBackend:
    """Workloads of jobs and endpoints as sandboxed processes on the nodes of a cluster.

    Args:
        home: a folder of this backend.
        machine: what this machine allows, for the workloads that stay here.
        warm: whether those may be forked from a warm interpreter.
        address: `HOST:PORT` of a Ray Client server; empty for the cluster to which this machine belongs.
    """

    def __init__(self, home: Path, machine: Machine, *, warm: bool = True, address: str = "") -> None:
        self._here = ProcessBackend(home, machine, warm=warm)
        self._placement = Placement(address, f"clary-{_identity(home / _IDENTITY)}")
        self._followers: dict[str, Follower] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._lock = threading.Lock()
        self._relay = Relay()
        self._closed = threading.Event()
        threading.Thread(target=self._sweep, name="clary-ray-sweep", daemon=True).start()

    @property
    def copies(self) -> str:
        """A node has none of this machine's files."""
        return "jobs run on the nodes of a Ray cluster"

    @property
    def elsewhere(self) -> bool:
        """Ray keeps a line of its own."""
        return True

    def start(self, workload: Workload) -> Handle:
        """Write down what is to run; a thread brings it to the cluster."""
        if workload.id.partition("/")[0] not in ELSEWHERE:
            return self._here.start(workload)
        folder = workload.bundle
        if not (folder / PLACE).exists():
            (folder / "run").mkdir(parents=True, exist_ok=True)
            bundle.write(folder / bundle.TASK, Task(workload=workload, isolation="namespaces").to_json())
            bundle.write(folder / bundle.STATUS, wire.to_json(Observation(phase="starting", message=ROOM)))
            bundle.write(folder / PLACE, {"id": workload.id, "secret": secrets.token_urlsafe(32)})
        self._follow(folder)
        return _handle(workload.id, folder)

    def find(self, workload_id: str, folder: Path) -> Handle | None:
        """By the file that `start` left in the bundle."""
        if (folder / PLACE).exists():
            return _handle(workload_id, folder)
        return self._here.find(workload_id, folder)

    def poll(self, handle: Handle) -> Observation:
        """What its follower has written down last."""
        if "ray" not in handle:
            return self._here.poll(handle)
        folder = Path(handle["bundle"])
        if not (folder / PLACE).exists():
            return Observation(phase="gone")
        end = bundle.read(folder / bundle.EXIT)
        if end is not None:
            self._relay.close(folder)
            return wire.from_json(end)
        self._follow(folder)
        status = bundle.read(folder / bundle.STATUS)
        return wire.from_json(status) if status else Observation(phase="starting")

    def usage(self, handle: Handle) -> Usage | None:
        """What the node told last."""
        if "ray" not in handle:
            return self._here.usage(handle)
        with self._lock:
            follower = self._followers.get(handle["bundle"])
        return follower.usage if follower else None

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Leave the wish in the bundle, from where its follower takes it within a second."""
        if "ray" not in handle:
            self._here.stop(handle, grace_s)
            return
        folder = Path(handle["bundle"])
        if not folder.exists() or (folder / bundle.EXIT).exists():
            return
        earlier = bundle.read(folder / bundle.STOP)
        if earlier is None or grace_s < earlier["grace_s"]:
            bundle.write(folder / bundle.STOP, {"grace_s": grace_s})

    def delete(self, handle: Handle) -> None:
        """End the host, which takes everything along; when Ray does not answer, that is done when it does again."""
        if "ray" not in handle:
            self._here.delete(handle)
            return
        folder = Path(handle["bundle"])
        with self._lock:
            follower = self._followers.pop(str(folder), None)
        if follower is not None:
            follower.join()
        self._relay.close(folder)
        try:
            self._placement.end(str(folder), str(folder.parent))
        except Unreachable as error:
            _LOG.warning("%s could not be ended on the Ray cluster now: %s", handle["id"], error)

    def execute(self, handle: Handle, argv: Sequence[str], *, timeout_s: float | None = None) -> Completed:
        """Only beside workloads of this machine."""
        _refuse(handle)
        return self._here.execute(handle, argv, timeout_s=timeout_s)

    def session(self, handle: Handle, argv: Sequence[str], files: Sequence[int], env: Mapping[str, str]) -> Session:
        """Only beside workloads of this machine."""
        _refuse(handle)
        return self._here.session(handle, argv, files, env)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback` for workloads here and there."""
        self._callbacks.append(callback)
        self._here.on_change(callback)

    def close(self) -> None:
        """Leave the cluster."""
        self._closed.set()
        with self._lock:
            followers = list(self._followers.values())
        for follower in followers:
            follower.close()
        self._relay.stop()
        self._placement.close()
        self._here.close()

    def _follow(self, folder: Path) -> None:
        with self._lock:
            follower = self._followers.get(str(folder))
            if follower is None or not follower.going:
                follower = Follower(folder, self._placement, self._tell)
                self._followers[str(folder)] = follower
                if follower.serves:
                    self._relay.open(folder, follower)

    def _tell(self, workload_id: str) -> None:
        for callback in self._callbacks:
            callback(workload_id)

    def _sweep(self) -> None:
        """End the hosts of workloads that were deleted while the cluster did not answer, as long as this is open."""
        while True:
            with suppress(Unreachable):
                for name in self._placement.names():
                    if not (Path(name) / PLACE).exists():
                        self._placement.end(name, "")
                for group in self._placement.groups():
                    if not Path(group).exists():
                        self._placement.end("", group)
            if self._closed.wait(SWEEP_S):
                return


def _handle(workload_id: str, folder: Path) -> Handle:
    return {"id": workload_id, "bundle": str(folder), "ray": True}


def _refuse(handle: Handle) -> None:
    if "ray" in handle:
        raise ConnectionError(f"{handle['id']} runs on a Ray cluster, where it takes no commands")


def _identity(path: Path) -> str:
    """What tells the hosts of this platform from those of another one."""
    if not path.exists():
        bundle.write(path, {"id": secrets.token_hex(8)})
    known = bundle.read(path)
    assert known is not None  # noqa: S101  # just written
    return str(known["id"])
