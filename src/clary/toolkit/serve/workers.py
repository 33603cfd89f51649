"""Several copies of one server process."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

RESTART_PAUSE_S = 1.0


def keep_running(work: Callable[[], None], workers: int) -> None:
    """Run `work` in so many forked processes, replace those that die, and pass SIGTERM on."""
    children: set[int] = set()
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for _ in range(workers):
        children.add(_start(work))
    while children:
        child, status = os.wait()
        children.discard(child)
        if not stopping:
            print(f"Worker {child} ended with status {status}; starting another.", file=sys.stderr)  # noqa: T201
            time.sleep(RESTART_PAUSE_S)
        if not stopping:
            children.add(_start(work))


def _start(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        work()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
