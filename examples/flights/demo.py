"""Runs the workflow with its times: a line while each stage goes on, a table at the end, files to look at.

Three times are told apart: code of the user (jobs, instances), sleeps of the client (SDK v2 sleeps between polls), and
what is left, which is the platform's and the client's own work.
"""

import contextlib
import io
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

Span = tuple[float, float]


@dataclass
class Stopwatch:
    """Notes when the client sleeps, by standing in for `time.sleep`."""

    sleeps: list[Span] = field(default_factory=list)

    def __enter__(self) -> "Stopwatch":
        self._sleep = time.sleep
        time.sleep = self._note
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep = self._sleep

    def _note(self, seconds: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            self._sleep(seconds)
            return
        start = time.time()
        try:
            self._sleep(seconds)
        finally:
            self.sleeps.append((start, time.time()))


def covered(spans: list[Span], start: float, end: float) -> float:
    """How many seconds from `start` to `end` lie within at least one span."""
    total, reached = 0.0, start
    for first, last in sorted(spans):
        gained = min(last, end) - max(first, reached)
        if gained > 0:
            total += gained
            reached = min(last, end)
    return total


def user_code(project) -> list[Span]:
    """When code of the user ran: the times that Describe tells of every job of the project."""
    client = project.client("sagemaker")
    spans = []
    for name in job_names(client.get_paginator("list_processing_jobs"), "ProcessingJobSummaries", "ProcessingJobName"):
        job = client.describe_processing_job(ProcessingJobName=name)
        spans.append((job["ProcessingStartTime"].timestamp(), job["ProcessingEndTime"].timestamp()))
    for name in job_names(client.get_paginator("list_training_jobs"), "TrainingJobSummaries", "TrainingJobName"):
        job = client.describe_training_job(TrainingJobName=name)
        spans.append((job["TrainingStartTime"].timestamp(), job["TrainingEndTime"].timestamp()))
    return spans


def job_names(paginator, summaries: str, name: str) -> list[str]:
    return [entry[name] for page in paginator.paginate() for entry in page[summaries]]


@dataclass
class Stage:
    title: str
    start: float
    end: float = 0.0
    lines: list[str] = field(default_factory=list)


def run(console: Console, project, stages) -> tuple[list[Stage], Stopwatch, list[Span]]:
    done: list[Stage] = []
    spans: list[Span] = []
    log = (project.output / "demo.log").open("w")
    with Stopwatch() as watch:
        for number, function in enumerate(stages, start=1):
            stage = Stage(function.__name__.replace("_", " "), time.time())
            heading = Text.assemble((f"{number}. {stage.title}", "bold"), f"  {function.__doc__.splitlines()[0]}")
            with quiet(log), Live(Spinner("dots", heading), console=console, transient=True):
                if function.__name__ == "clean_up":
                    spans = user_code(project)
                stage.lines = function(project)
            stage.end = time.time()
            done.append(stage)
            console.print(Text.assemble(("✓ ", "green"), heading, (f"  {stage.end - stage.start:.1f} s", "cyan")))
            for line in stage.lines:
                console.print(Text(f"    {line}"))
    log.close()
    return done, watch, spans


@contextlib.contextmanager
def quiet(log: io.TextIOBase):
    """What the SDK prints goes to a file, so that the screen stays readable."""
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    others = root.handlers[:]
    root.handlers[:] = [handler]
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        root.handlers[:] = others


def summary(done: list[Stage], watch: Stopwatch, spans: list[Span]) -> Table:
    table = Table(title="Where the time went, in seconds", title_justify="left", header_style="bold")
    table.add_column("stage")
    for name in ("total", "code of the user", "sleeps of the client", "platform and client"):
        table.add_column(name, justify="right")
    for stage in done:
        table.add_row(stage.title, *times(stage.start, stage.end, watch, spans))
    table.add_section()
    table.add_row("all", *times(done[0].start, done[-1].end, watch, spans), style="bold")
    return table


def times(start: float, end: float, watch: Stopwatch, spans: list[Span]) -> list[str]:
    code = covered(spans, start, end)
    either = covered(spans + watch.sleeps, start, end)
    return [f"{value:.1f}" for value in (end - start, code, either - code, end - start - either)]


def main() -> int:
    output = Path(os.environ.get("DEMO_OUTPUT", "demo-output"))
    output.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(
        "[bold]Flight delays[/bold]: 336,776 real flights of 2013. Will this one arrive more than 15 minutes late?\n"
    )
    with console.status("loading the SageMaker SDK"), quiet(io.StringIO()):
        import workflow  # noqa: PLC0415  # takes seconds; the line above must be on the screen before

    done, watch, spans = run(console, workflow.Project(output), workflow.STAGES)
    console.print()
    table = summary(done, watch, spans)
    console.print(table)
    files = ", ".join(sorted(path.name for path in output.iterdir()))
    console.print(f"\nTo look at, in {output}: {files}")
    with (output / "times.txt").open("w") as file:
        Console(file=file, width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
