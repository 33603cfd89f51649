"""Rows of figures with their targets, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    measure: str
    value: float
    unit: str
    kind: Literal["fact", "at most", "at least"] = "fact"
    limit: float = 0.0

    @property
    def passed(self) -> bool | None:
        """Whether the figure keeps its target; None when it has none."""
        if self.kind == "fact":
            return None
        return self.value <= self.limit if self.kind == "at most" else self.value >= self.limit

    @property
    def target(self) -> str:
        """The target as text."""
        return "" if self.kind == "fact" else f"{self.kind} {_figure(self.limit)}"


def fact(measure: str, value: float, unit: str) -> Row:
    """A figure without a target."""
    return Row(measure, value, unit)


def at_most(measure: str, value: float, unit: str, limit: float) -> Row:
    """A figure that should not be above a limit."""
    return Row(measure, value, unit, "at most", limit)


def at_least(measure: str, value: float, unit: str, limit: float) -> Row:
    """A figure that should not be below a limit."""
    return Row(measure, value, unit, "at least", limit)


def median(values: Sequence[float]) -> float:
    """The middle of the values of several rounds."""
    return float(statistics.median(values))


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Prints one benchmark's rows as a Markdown table."""
    print(f"\n### {title}\n\n| | figure | target | |\n|---|---|---|---|")
    for row in rows:
        verdict = {None: "", True: "pass", False: "MISS"}[row.passed]
        print(f"| {row.measure} | {_figure(row.value)} {row.unit} | {row.target} | {verdict} |")


def save(name: str, rows: Sequence[Row]) -> None:
    """Keeps one benchmark's rows with what is known of the machine."""
    RESULTS.mkdir(exist_ok=True)
    machine = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": psutil.cpu_count(),
        "load": psutil.getloadavg()[0],
    }
    document = {"machine": machine, "rows": [{**asdict(row), "passed": row.passed} for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
