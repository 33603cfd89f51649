"""What a server's processes take of the machine."""

from __future__ import annotations

from contextlib import suppress

import psutil


def cpu_seconds(pid: int, *, descending: bool = True) -> float:
    """Processor time of a process so far, in most cases with that of its descendants."""
    total = 0.0
    for process in _tree(pid) if descending else [psutil.Process(pid)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def memory_mb(pid: int) -> float:
    """Resident memory of one process, in MB of a million bytes."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def own_memory_mb(pid: int) -> float:
    """Memory that would be free again if the process ended: without libraries and files that others share."""
    return float(psutil.Process(pid).memory_full_info().uss) / 1e6


def tree_memory_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, shared pages split between those that share them."""
    total = 0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 1e6


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that a process started, directly or not."""
    return psutil.Process(pid).children(recursive=True)


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
