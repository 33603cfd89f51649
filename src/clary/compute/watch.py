"""Wakes the platform when a workload changes, so that nobody has to poll."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from clary.agent import bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOG = logging.getLogger(__name__)


class Watcher:
    """One thread that hears agents' messages and the end of their processes."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._callbacks: list[Callable[[str], None]] = []
        self._watched: dict[str, int] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._messages = self._listen()
        self._wakeup, self._alarm = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._messages, selectors.EVENT_READ)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="clary-watch", daemon=True)
        self._thread.start()

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with the id of every workload that may have changed."""
        self._callbacks.append(callback)

    def watch(self, workload_id: str, folder: Path) -> None:
        """Also notice the death of the agent of `folder`, which cannot send a message any more."""
        with self._lock:
            if workload_id in self._watched:
                return
            descriptor = _open_agent(folder)
            if descriptor is None:
                return
            self._watched[workload_id] = descriptor
            self._selector.register(descriptor, selectors.EVENT_READ, workload_id)

    def close(self) -> None:
        """End the thread."""
        os.write(self._alarm, b"x")
        self._thread.join()
        self._messages.close()
        self.address.unlink(missing_ok=True)
        for descriptor in (self._wakeup, self._alarm, *self._watched.values()):
            os.close(descriptor)
        self._selector.close()

    def _listen(self) -> socket.socket:
        self.address.parent.mkdir(parents=True, exist_ok=True)
        self.address.unlink(missing_ok=True)
        messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with bundle.address(self.address) as address:
            messages.bind(address)
        return messages

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._wakeup:
                    return
                if key.fileobj is self._messages:
                    self._tell(self._messages.recv(4096).decode())
                else:
                    self._forget(key.data)
                    self._tell(key.data)

    def _forget(self, workload_id: str) -> None:
        with self._lock:
            descriptor = self._watched.pop(workload_id)
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _tell(self, workload_id: str) -> None:
        for callback in self._callbacks:
            try:
                callback(workload_id)
            except Exception:  # noqa: BLE001  # one listener's fault must not make the platform deaf
                _LOG.exception("a listener failed for %s", workload_id)


def _open_agent(folder: Path) -> int | None:
    """A descriptor that becomes readable when the agent of `folder` ends; None without a living agent."""
    pid = bundle.agent_pid(folder)
    if pid is None or not hasattr(os, "pidfd_open"):
        return None
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        # Asked again, because the number may have passed to another process before it was opened.
        if bundle.agent_pid(folder) == pid:
            return descriptor
        os.close(descriptor)
    return None
