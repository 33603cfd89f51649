"""`python -m clary.agent BUNDLE` tends the workload of a bundle in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from clary.agent import supervisor


def main() -> None:
    """Detach and become the agent; the process that was called returns at once."""
    if supervisor.detach():
        os._exit(supervisor.tend(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
