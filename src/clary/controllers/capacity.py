"""Which jobs run on this machine now, and which wait in line."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

OVERCOMMIT = 2.0
"""Jobs wait for disks and for each other; so many vCPUs are given out for each processor."""

SPARE = 0.1
"""The share of the memory below which no further job begins."""

FORGOTTEN_S = 20.0
"""A job that has not asked for its place for so long is not waiting any more."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a job takes of the machine, all hosts together."""

    vcpus: float
    gpus: int = 0


@dataclass(slots=True)
class _Waiting:
    need: Need
    since: datetime
    asked: float


class Capacity:
    """The line of jobs; filled again after a restart by the steps of the jobs that run and wait.

    First come, first served: a job that fits does not overtake one that does not fit yet.
    """

    def __init__(
        self, room: Need, most: int = 0, *, memory: Callable[[], float] | None = None, wake: Callable[[str], None]
    ) -> None:
        """`room` is what the machine has, `most` the highest number of jobs (0: any).

        `memory` tells the share of the memory that is free, `wake` has a waiting job ask again.
        """
        self._room = Need(room.vcpus * OVERCOMMIT, room.gpus)
        self._most = most
        self._memory = memory or free_memory
        self._wake = wake
        self._running: dict[str, Need] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.Lock()

    def place(self, job: str, need: Need, since: datetime) -> int:
        """0 when the job may run now, else its place in the line, from 1; asking again for one that runs says 0.

        `since` is when the job was created.
        """
        with self._lock:
            if job in self._running:
                return 0
            self._waiting[job] = _Waiting(need, since, time.monotonic())
            ahead = self._ahead(job)
            if ahead or not self._fits(need):
                return ahead + 1
            del self._waiting[job]
            self._running[job] = need
        self._call_next()
        return 0

    def hold(self, job: str, need: Need) -> None:
        """Counts a job that runs already."""
        with self._lock:
            self._running[job] = need

    def follow(self, job: str, earlier: str, need: Need) -> None:
        """Lets a job run in the place of an earlier one that has ended."""
        with self._lock:
            self._running.pop(earlier, None)
            self._waiting.pop(job, None)
            self._running[job] = need

    def leave(self, job: str) -> None:
        """Makes room again, and tells who may have it."""
        with self._lock:
            self._waiting.pop(job, None)
            self._running.pop(job, None)
        self._call_next()

    def _call_next(self) -> None:
        """Wakes the first in line, who will call the next one if there is room for both."""
        with self._lock:
            first = min(self._waiting, key=lambda name: (self._waiting[name].since, name), default=None)
        if first is not None:
            self._wake(first)

    def _ahead(self, job: str) -> int:
        """How many came before; those that ask no more have been stopped."""
        now = time.monotonic()
        self._waiting = {name: one for name, one in self._waiting.items() if now - one.asked < FORGOTTEN_S}
        mine = (self._waiting[job].since, job)
        return sum((one.since, name) < mine for name, one in self._waiting.items())

    def _fits(self, need: Need) -> bool:
        if not self._running:
            # Whatever it needs, it will not get more than the machine.
            return True
        if self._most and len(self._running) >= self._most:
            return False
        together = [need, *self._running.values()]
        vcpus = sum(one.vcpus for one in together)
        taken = sum(min(one.gpus, self._room.gpus) for one in together)
        return vcpus <= self._room.vcpus and taken <= self._room.gpus and self._memory() >= SPARE


def free_memory() -> float:
    """The share of this machine's memory that can be had; 1 where the system does not tell."""
    with suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        told = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
        return told["MemAvailable"] / told["MemTotal"]
    return 1.0


def gpus() -> int:
    """How many NVIDIA GPUs this machine has."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
