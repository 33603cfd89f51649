"""How many jobs run on this machine at the same time; the others wait their turn."""

from __future__ import annotations

import threading


class Capacity:
    """Counts the workloads that run; filled again after a restart by the steps of the jobs that still run."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def admit(self, workload: str) -> bool:
        """Whether the workload may run now; asking again for one that runs says yes."""
        with self._lock:
            if workload not in self._running and len(self._running) >= self._most:
                return False
            self._running.add(workload)
            return True

    def hold(self, workload: str) -> None:
        """Counts a workload that runs already."""
        with self._lock:
            self._running.add(workload)

    def leave(self, workload: str) -> None:
        """Makes room again."""
        with self._lock:
            self._running.discard(workload)
