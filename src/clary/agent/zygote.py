"""A warm interpreter: imports the usual libraries once and forks an agent for each workload.

Forking is safe because no thread is ever started here and no library has run parallel code.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import supervisor
from clary.agent.python import WarmInterpreter

if TYPE_CHECKING:
    from collections.abc import Sequence

READY = b"ready"
FORKED = b"forked"


def serve(channel: socket.socket, modules: Sequence[str]) -> None:
    """Fork an agent for every bundle named on `channel` until its other end is closed."""
    for name in modules:
        # A platform may be installed without some of them; scripts that need those fail by themselves.
        with suppress(ImportError):
            importlib.import_module(name)
    if _threads() > 1:
        return
    warm = WarmInterpreter()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    # Keeps the collector of the children from touching, and so copying, every page.
    gc.freeze()
    channel.send(READY)
    while request := channel.recv(1 << 16):
        if os.fork() == 0:
            channel.close()
            os.setsid()
            os._exit(supervisor.tend(Path(os.fsdecode(request)), warm=warm))
        channel.send(FORKED)


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 1


def main() -> None:
    """`python -c "...main()" DESCRIPTOR MODULE...`, started by `clary.compute.warm`."""
    # The working folder must not lend modules to workloads.
    sys.path.remove("")
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
