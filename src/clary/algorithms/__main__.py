"""Runs a built-in algorithm: `python -m clary.algorithms NAME train|serve|process`."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES: Mapping[str, str] = {
    "xgboost": "clary.algorithms.xgboost_algorithm",
    "linear-learner": "clary.algorithms.linear_learner",
    "kmeans": "clary.algorithms.kmeans",
    "model-monitor": "clary.algorithms.model_monitor.analyzer",
}


def main(name: str, role: str) -> int:
    """Run an algorithm in a role and return the exit status."""
    # Only the module that is asked for: each one imports libraries of its own.
    module = importlib.import_module(MODULES[name])
    if role == "process":
        return int(module.main())
    base = importlib.import_module("clary.algorithms.base")
    run = {"train": base.run_training, "serve": base.run_server}[role]
    return int(run(module.ALGORITHM))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
