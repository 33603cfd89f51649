"""Runs a built-in algorithm: `python -m clary.algorithms NAME train|serve|process`."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points

from clary.algorithms.catalogue import PLUGINS


def main(name: str, role: str) -> int:
    """Run an algorithm in a role and return the exit status."""
    # Only the module that is asked for: each one imports libraries of its own.
    (entry,) = entry_points(group=PLUGINS, name=name)
    algorithm = entry.load()
    if role == "process":
        return int(algorithm())
    base = importlib.import_module("clary.algorithms.base")
    run = {"train": base.run_training, "serve": base.run_server}[role]
    return int(run(algorithm))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
