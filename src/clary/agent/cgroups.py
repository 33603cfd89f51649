"""Limits by control groups, version 1 or 2."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIFIED = "unified"
_PERIOD_US = 100_000


class Cgroups:
    """The control groups of one workload: one folder a controller in version 1, a single one in version 2."""

    def __init__(self, parents: Mapping[str, str], name: str) -> None:
        self._folders = {controller: Path(parent) / name for controller, parent in parents.items()}

    @property
    def limits_memory(self) -> bool:
        """Whether the kernel enforces the memory limit."""
        return any((folder / name).exists() for folder in self._folders.values() for name in _MEMORY_LIMITS)

    @property
    def limits_cpu(self) -> bool:
        """Whether the kernel enforces the share of processors."""
        return any((folder / name).exists() for folder in self._folders.values() for name in _CPU_LIMITS)

    def create(self, *, cpus: float, memory_bytes: int, pids: int) -> None:
        """Make the groups and set their limits."""
        quota_us = max(1000, int(cpus * _PERIOD_US))
        values = {
            "memory.limit_in_bytes": str(memory_bytes),
            "memory.memsw.limit_in_bytes": str(memory_bytes),
            "memory.max": str(memory_bytes),
            "memory.swap.max": "0",
            "cpu.cfs_period_us": str(_PERIOD_US),
            "cpu.cfs_quota_us": str(quota_us),
            "cpu.max": f"{quota_us} {_PERIOD_US}",
            "pids.max": str(pids),
        }
        for folder in self._folders.values():
            folder.mkdir(parents=True, exist_ok=True)
            for file in (folder / name for name in values):
                if file.exists():
                    file.write_text(values[file.name])

    def join(self) -> None:
        """Move the calling process, which must have a single thread, into the groups."""
        for folder in self._folders.values():
            # In version 1 a thread moves itself without the lock over all processes that `cgroup.procs` waits for.
            tasks = folder / "tasks"
            (tasks if tasks.exists() else folder / "cgroup.procs").write_text("0")

    def pids(self) -> set[int]:
        """The processes in the groups."""
        return {int(pid) for folder in self._folders.values() for pid in _text(folder / "cgroup.procs").split()}

    def oom_kills(self) -> int:
        """How many processes the kernel killed for the memory limit."""
        texts = (_text(folder / name) for folder in self._folders.values() for name in _OOM_COUNTERS)
        lines = (line.split() for text in texts for line in text.splitlines())
        return sum(int(words[1]) for words in lines if words[0] == "oom_kill")

    def peak_memory_bytes(self) -> int:
        """The most memory that the workload used; 0 when unknown."""
        peaks = (_text(folder / name) for folder in self._folders.values() for name in _MEMORY_PEAKS)
        return max((int(peak) for peak in peaks if peak), default=0)

    def view(self) -> dict[str, Path]:
        """The folders by the name under which libraries look for their own limits in /sys/fs/cgroup."""
        return {("" if controller == UNIFIED else controller): path for controller, path in self._folders.items()}

    def kill(self) -> None:
        """Kill whatever is left in the groups."""
        for folder in self._folders.values():
            with suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
        for pid in self.pids() - {os.getpid()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self, patience_s: float = 2.0) -> None:
        """Delete the groups; killed processes may need a moment to leave them."""
        deadline = time.monotonic() + patience_s
        for folder in self._folders.values():
            while not _removed(folder) and time.monotonic() < deadline:
                self.kill()
                time.sleep(0.005)


_MEMORY_LIMITS = ("memory.limit_in_bytes", "memory.max")
_CPU_LIMITS = ("cpu.cfs_quota_us", "cpu.max")
_OOM_COUNTERS = ("memory.oom_control", "memory.events")
_MEMORY_PEAKS = ("memory.max_usage_in_bytes", "memory.peak")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
