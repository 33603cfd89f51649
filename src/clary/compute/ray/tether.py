"""Ends the workload of a bundle when the process that holds the other end of a pipe is gone, however that ended."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from clary.agent import bundle
from clary.compute.probe import Machine
from clary.compute.process import ProcessBackend

# Detached, as Ray ends the children of its workers; without imports until they are needed, as one waits for each host.
_WAIT = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
sys.stdin.buffer.read()
sys.path.insert(0, sys.argv.pop(1))
from clary.compute.ray.tether import main
main()
"""

_ATTEMPTS = 100
_PAUSE_S = 0.1


def tie(folder: Path) -> IO[bytes]:
    """Tie the workload of `folder` to the life of this process, or of the pipe that is returned."""
    source = str(Path(__file__).parents[3])
    waiting = subprocess.Popen(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-c", _WAIT, source, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    waiting.wait()
    assert waiting.stdin is not None  # noqa: S101  # asked for
    return waiting.stdin


def main() -> None:
    """End the workload of the folder that the command line names, and remove the folder."""
    folder = Path(sys.argv[1])
    for _ in range(_ATTEMPTS):
        backend = ProcessBackend(folder / "tether", Machine(isolation="none"), warm=False)
        backend.delete({"id": "", "bundle": str(folder)})
        backend.close()
        bundle.remove(folder)
        if not folder.exists():
            return
        # What is dying may still have written something.
        time.sleep(_PAUSE_S)
