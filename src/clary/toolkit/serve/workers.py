"""Several copies of one server process."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

RESTART_PAUSE_S = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def keep_running(work: Callable[[], None], workers: int) -> None:
    """Run `work` in so many forked processes, replace those that die, and pass SIGTERM on."""
    children: set[int] = set()
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)
        for child in children:
            _end(child)

    def start() -> None:
        child = _start(work)
        children.add(child)
        # A signal that came just before did not find the child yet.
        if stopping:
            _end(child)

    for number in _SIGNALS:
        signal.signal(number, stop)
    for _ in range(workers):
        start()
    while children:
        child, status = os.wait()
        children.discard(child)
        if not stopping:
            print(f"Worker {child} ended with status {status}; starting another.", file=sys.stderr)  # noqa: T201
            time.sleep(RESTART_PAUSE_S)
        if not stopping:
            start()


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)


def _start(work: Callable[[], None]) -> int:
    # Held back, so that the child hears nothing before it has given up its parent's way of handling it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return child
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        work()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
