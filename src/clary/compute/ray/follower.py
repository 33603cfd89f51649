"""Follows one workload from the platform's machine, and keeps its bundle there as if it ran beside it."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clary.agent import bundle
from clary.agent.workload import Task
from clary.compute.base import Observation, Usage
from clary.compute.ray import wire
from clary.compute.ray.cluster import Dead, Size, Unreachable, Wish
from clary.compute.ray.host import LEASE_S
from clary.instance_types import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clary.agent.workload import Workload
    from clary.compute.ray.cluster import Node
    from clary.compute.ray.placement import Placement
    from clary.compute.ray.wire import Address

_LOG = logging.getLogger(__name__)

PLACE = "ray.json"
"""File of a bundle that tells that its workload is on the cluster, and the secret of its host."""

LOST_S = LEASE_S + 5.0
"""A node that was silent for so long is lost, and its workload has ended there."""

ROOM = "Waiting for room on the Ray cluster"
"""What is told of a workload that has no node yet."""

_WAIT_S = 1.0
_TIMEOUT_S = 4.0
_DATA_TIMEOUT_S = 10.0
_CHECKPOINTS_S = 4.0
_APPEAR_S = 20.0
_SERVES = "CLARY_SERVE_SOCKET"
_KEPT_BACK = frozenset({bundle.TASK, bundle.STATUS, bundle.STOP, PLACE, "checkpoints.json", "run"})
"""What belongs to the platform's side of a bundle."""


class Ended(Exception):
    """The workload is at its end, which nobody on a node will tell."""

    def __init__(self, seen: Observation) -> None:
        super().__init__(seen.message)
        self.seen = seen


class Follower:
    """One thread for one workload, which can begin again where an earlier one was broken off."""

    def __init__(self, folder: Path, placement: Placement, told: Callable[[str], None]) -> None:
        task = bundle.read(folder / bundle.TASK)
        place = bundle.read(folder / PLACE)
        assert task is not None  # noqa: S101  # both are written before there is a follower
        assert place is not None  # noqa: S101
        self._folder = folder
        self._task = task
        self._workload = Task.from_json(task).workload
        self._secret: str = place["secret"]
        self._placement = placement
        self._told = told
        self._closed = threading.Event()
        self._silent_since: float | None = None
        self._checked = 0.0
        self._anew = True
        self._noted = "begun" in place
        self.usage: Usage | None = None
        self.address: Address | None = wire.Address(*place["begun"]) if "begun" in place else None
        self._thread = threading.Thread(target=self._run, name=f"clary-follow-{self._workload.id}", daemon=True)
        self._thread.start()

    @property
    def group(self) -> str:
        """What the hosts of one job have in common; empty for a host alone."""
        return str(self._folder.parent) if len(self._workload.hosts) > 1 else ""

    @property
    def going(self) -> bool:
        """Whether anybody follows."""
        return self._thread.is_alive()

    @property
    def serves(self) -> bool:
        """Whether the workload is a model server."""
        return _SERVES in self._workload.env

    def close(self) -> None:
        """Follow no longer; the workload goes on."""
        self._closed.set()

    def join(self) -> None:
        """Wait until nothing is written into the bundle any more."""
        self._closed.set()
        self._thread.join(_TIMEOUT_S)

    def ask(self, do: str, **question: Any) -> dict[str, Any]:
        """What one connection to the host is to begin with."""
        return {"secret": self._secret, "do": do, **question}

    def _run(self) -> None:
        try:
            self._steps()
        except Ended as end:
            self._end(end.seen)
        except wire.Refused as error:
            self._end(Observation(phase="exited", exit_code=125, reason="sandbox", message=str(error)))
        except OSError as error:
            # The bundle cannot be written: whoever deletes a job does so under its follower.
            _LOG.warning("%s is followed no longer: %s", self._workload.id, error)

    def _steps(self) -> None:
        self._check()
        # Where it has begun it can be asked without Ray, which may take its time after a restart.
        hosts = {} if self.address else self._find_hosts()
        while not self._closed.is_set():
            try:
                if self._follow(hosts):
                    return
                self._silent_since = None
            except OSError as error:
                if not self._folder.exists():
                    return
                self._doubt(error)

    # Placing

    def _check(self) -> None:
        """Refuses what cannot run on another machine."""
        workload = self._workload
        if workload.container is not None:
            raise wire.Refused("images of one's own do not run on a Ray cluster yet")
        if len(workload.hosts) > 1 and not workload.network:
            raise wire.Refused("hosts on several machines need the network: EnableNetworkIsolation is for one host")
        for bind in workload.binds:
            if not bind.writable and not bind.source.is_relative_to(workload.bundle):
                raise wire.Refused(f"{bind.source} of the platform's machine is not on the nodes of a Ray cluster")

    def _find_hosts(self) -> dict[str, str]:
        """Place the host and wait for those of the whole job; tells their addresses."""
        names = list(self._workload.hosts)
        waiting = [self._folder.parent / name for name in names] if self.group else [self._folder]
        found: dict[str, Address] = {}
        asked, deadline = False, float("inf")
        while len(found) < len(waiting) and not self._closed.is_set():
            try:
                if not asked:
                    self._place()
                    asked, deadline = True, min(deadline, time.monotonic() + _APPEAR_S)
                self._look(found, waiting)
            except Unreachable as error:
                self._tell(Observation(phase="starting", message=f"The Ray cluster does not answer: {error}"))
                self._closed.wait(1)
            except Dead as error:
                # One that was asked for just now may not be known by its name yet, or an earlier one still be dying.
                if time.monotonic() > deadline:
                    raise _lost(f"the host died: {error}") from error
                asked = False
                self._closed.wait(0.2)
        self.address = found.get(str(self._folder))
        self._tell(Observation(phase="starting"))
        if self._closed.is_set() or not self.group:
            return {}
        return {name: found[str(self._folder.parent / name)].host for name in names}

    def _look(self, found: dict[str, Address], waiting: list[Path]) -> None:
        if str(self._folder) not in found and bundle.read(self._folder / bundle.STOP):
            raise Ended(Observation(phase="exited", exit_code=143, signal=15, reason="stopped"))
        for folder in waiting:
            if str(folder) not in found and (address := self._placement.find(str(folder))) is not None:
                found[str(folder)] = address

    def _place(self) -> None:
        workload, nodes = self._workload, self._placement.nodes()
        count = len(workload.hosts) if self.group else 1
        size = _size(workload, nodes)
        self._tell(Observation(phase="starting", message=_waits(nodes, size, count)))
        wish = Wish(
            name=str(self._folder),
            secret=self._secret,
            size=size,
            group=self.group,
            index=list(workload.hosts).index(workload.hostname) if self.group else 0,
            count=count,
        )
        self._placement.place(wish)
        self._note(size=size)

    # Following

    def _follow(self, hosts: dict[str, str]) -> bool:
        """One look at the workload, which is begun first where it has not been; tells whether it has ended."""
        assert self.address is not None  # noqa: S101  # it was found
        log = self._folder / bundle.LOG
        size = log.stat().st_size if log.exists() else 0
        status = bundle.read(self._folder / bundle.STATUS) or {}
        grace_s = (bundle.read(self._folder / bundle.STOP) or {}).get("grace_s")
        question = self.ask("follow", log=size, phase=status.get("phase"), wait_s=_WAIT_S, grace_s=grace_s)
        with closing(wire.Exchange(self.address, question, _TIMEOUT_S)) as exchange:
            heard = exchange.answer()
            lines = exchange.stream.read(heard["bytes"]) if heard["begun"] else b""
        if not heard["begun"]:
            self._begin(hosts)
            return False
        if not self._noted:
            self._note(begun=self.address)
            self._noted = True
        with log.open("ab") as file:
            file.write(lines)
        seen = wire.from_json(heard["seen"])
        self.usage = Usage(**heard["usage"]) if heard["usage"] else None
        if seen.phase in {"exited", "gone"}:
            if lines:
                return False
            self._bring_results()
            self._end(seen)
            return True
        if seen.phase != status.get("phase"):
            self._tell(seen)
        elif lines:
            self._told(self._workload.id)
        self._bring_checkpoints()
        return False

    def _begin(self, hosts: dict[str, str]) -> None:
        assert self.address is not None  # noqa: S101  # it was found
        self._refuse_loopback(self.address)
        place = bundle.read(self._folder / PLACE) or {}
        question = self.ask(
            "begin", task=self._task, hosts=hosts, python=str(Path(sys.executable).parent), size=place["size"]
        )
        with closing(wire.Exchange(self.address, question, _DATA_TIMEOUT_S)) as exchange:
            wire.send_files(exchange.stream, self._folder, self._own_names())
            exchange.answer()

    def _own_names(self) -> Iterator[str]:
        for path in sorted(self._folder.iterdir()):
            if path.name not in _KEPT_BACK and not path.name.startswith("."):
                yield path.name
                yield from wire.names_below(self._folder, path.name)

    def _refuse_loopback(self, address: Address) -> None:
        endpoint = self._workload.env.get("AWS_ENDPOINT_URL", "")
        if endpoint and _is_loopback(urlsplit(endpoint).hostname or "") and not _is_here(address.host):
            raise wire.Refused(
                f"the node {address.host} cannot reach the platform at {endpoint}; set CLARY_HOST to an address of "
                "the platform's machine that all nodes of the cluster reach"
            )

    def _bring_checkpoints(self) -> None:
        assert self.address is not None  # noqa: S101  # it was found
        if time.monotonic() - self._checked < _CHECKPOINTS_S or not (self._folder / "checkpoints.json").exists():
            return
        with closing(
            wire.Exchange(self.address, self.ask("checkpoints", anew=self._anew), _DATA_TIMEOUT_S)
        ) as exchange:
            exchange.answer()
            wire.receive_files(exchange.stream, self._folder)
        self._checked, self._anew = time.monotonic(), False

    def _bring_results(self) -> None:
        assert self.address is not None  # noqa: S101  # it was found
        with closing(wire.Exchange(self.address, self.ask("results"), _DATA_TIMEOUT_S)) as exchange:
            exchange.answer()
            wire.receive_files(exchange.stream, self._folder)

    def _doubt(self, error: Exception) -> None:
        """What to think of a host that has not answered.

        Raises:
            Ended: it will not answer any more.
        """
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        silent_s = now - self._silent_since
        try:
            if self._placement.find(str(self._folder)) is None and silent_s > LOST_S:
                self._placement.end(str(self._folder), "")
        except Dead as death:
            assert self.address is not None  # noqa: S101  # it was found
            # On a node that may only be cut off the workload goes on until its lease is over.
            if silent_s > LOST_S or self._is_alive(self.address):
                raise _lost(f"the host died: {death}") from death
        except Unreachable as silence:
            _LOG.warning("the Ray cluster does not answer: %s", silence)
        if silent_s > LOST_S:
            raise _lost(f"the node does not answer: {error}") from error
        self._closed.wait(0.5)

    def _is_alive(self, address: Address) -> bool:
        try:
            return address.host in {node.address for node in self._placement.nodes()}
        except Unreachable:
            return False

    def _note(self, **noted: Any) -> None:
        bundle.write(self._folder / PLACE, {**(bundle.read(self._folder / PLACE) or {}), **noted})

    def _tell(self, seen: Observation) -> None:
        bundle.write(self._folder / bundle.STATUS, wire.to_json(seen))
        self._told(self._workload.id)

    def _end(self, seen: Observation) -> None:
        bundle.write(self._folder / bundle.EXIT, wire.to_json(seen), sync=True)
        self._told(self._workload.id)


def _lost(message: str) -> Ended:
    return Ended(Observation(phase="exited", reason="lost", message=message))


def _size(workload: Workload, nodes: list[Node]) -> Size:
    """What the instance type has, but no more than the largest node."""
    found = lookup(workload.instance_type)
    whole = (
        Size(found.vcpus, found.memory_bytes, found.gpus) if found else Size(workload.cpus, workload.memory_bytes, 0)
    )
    return Size(
        min(whole.cpus, max(node.size.cpus for node in nodes)),
        min(whole.memory_bytes, max(node.size.memory_bytes for node in nodes)),
        min(whole.gpus, max(node.size.gpus for node in nodes)),
    )


def _waits(nodes: list[Node], size: Size, count: int) -> str:
    """What a job of `count` hosts waits for."""
    enough = sum(all(has >= wanted for has, wanted in zip(node.size, size, strict=True)) for node in nodes)
    if count > enough:
        return f"Waiting for nodes: the job has {count} hosts, and {enough} nodes of the Ray cluster are large enough"
    return ROOM


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_here(address: str) -> bool:
    """Whether an address is one of this machine."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
