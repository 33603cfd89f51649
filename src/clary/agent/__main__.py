"""`python -m clary.agent BUNDLE` tends the workload of a bundle."""

from __future__ import annotations

import sys
from pathlib import Path

from clary.agent import supervisor


def main() -> None:
    """Be the agent of the bundle that the command line names."""
    sys.exit(supervisor.tend(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
