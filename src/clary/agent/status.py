"""What the agent tells of its workload: in files of the bundle, and by messages that wake the platform."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.agent import bundle

if TYPE_CHECKING:
    from clary.agent.workload import Task

_AGAIN_S = 0.5
"""How often the end is written down again while there is no room for it."""


class Status:
    """What is known about one workload."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._folder = task.workload.bundle
        self._known: dict[str, Any] = {"phase": "starting", "pid": os.getpid(), "isolation": task.isolation}

    def tell(self, phase: str, **known: Any) -> None:
        """Write down that a phase begins."""
        self._known |= {"phase": phase, **known}
        # A full disk hides the phase, which only informs; the workload goes on.
        with suppress(OSError):
            bundle.write(self._folder / bundle.STATUS, self._known)
        self._notify()

    def end(self, **known: Any) -> None:
        """Write down how the workload ended."""
        self._known |= {"phase": "exited", **known}
        while True:
            try:
                bundle.write(self._folder / bundle.EXIT, self._known, sync=True)
            except FileNotFoundError:
                # Somebody has removed the folder, and does not want to know.
                return
            except OSError:
                # A full disk may delay the end of a workload; it must not lose it.
                time.sleep(_AGAIN_S)
            else:
                (self._folder / bundle.RESERVE).unlink(missing_ok=True)
                break
        self._notify()

    def _notify(self) -> None:
        if not self._task.notify:
            return
        with (
            suppress(OSError),
            bundle.address(Path(self._task.notify)) as address,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(self._task.workload.id.encode(), address)
