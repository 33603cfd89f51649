"""Runs benchmarks by name, all of them by default, and prints a table for each."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from benchmarks.report import print_table, save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Row

NAMES = ("idle", "control_plane", "job_start", "jobs", "inference", "s3", "scale")


def main(names: Sequence[str]) -> int:
    """Tells by its status whether every target was kept."""
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    missed = 0
    for name in names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        rows: list[Row] = module.measure()
        print_table(module.TITLE, rows)
        save(name, rows)
        missed += sum(row.passed is False for row in rows)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
