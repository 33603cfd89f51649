"""The contract between the platform and the places where workloads run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from clary.agent.workload import ML_ROOT, Archive, Bind, Forward, Isolation, Workload

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from clary.compute.session import Completed, Session

__all__ = [
    "ML_ROOT",
    "Archive",
    "Backend",
    "Bind",
    "Forward",
    "Handle",
    "Isolation",
    "Observation",
    "Phase",
    "Reason",
    "Usage",
    "Workload",
]

Handle = Mapping[str, Any]
"""JSON values from which a backend finds a workload again, also after a restart of the platform."""

Phase = Literal["starting", "running", "archiving", "exited", "gone"]
Reason = Literal["", "timeout", "stopped", "oom", "lost", "sandbox", "archive", "disk", "inputs"]
"""Why a workload ended other than by itself: `lost` is an agent that died, `sandbox` a start that the machine refused,
`archive` results that could not be packed, `disk` a failure while the disk was full, `inputs` data that could not be
streamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known about a workload at one moment."""

    phase: Phase
    exit_code: int | None = None
    """128 + signal for a workload that a signal ended."""
    signal: int = 0
    reason: Reason = ""
    message: str = ""
    """Of a workload that is starting: what it waits for."""
    isolation: Isolation = "none"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running workload takes of the machine."""

    cpu_s: float
    """Processor time since the start."""
    memory_bytes: int


class Backend(Protocol):
    """A place where workloads run; every method may be called from any thread."""

    @property
    def copies(self) -> str:
        """Why the inputs of workloads have to be copied into their bundles; empty when they can be shown."""
        return "workloads run elsewhere"

    @property
    def elsewhere(self) -> bool:
        """Whether workloads run on other machines, which get copies of their bundles and admit them by themselves."""
        return False

    def start(self, workload: Workload) -> Handle:
        """Begin `workload` and return at once.

        Called twice with the same id and bundle it gives the same workload, so a platform that died between the start
        and its record leaves no orphan.
        """
        ...

    def find(self, workload_id: str, folder: Path) -> Handle | None:
        """The handle of a workload that was begun in the bundle `folder` before, whatever became of it; else None."""
        ...

    def poll(self, handle: Handle) -> Observation:
        """What the workload does now, from the handle alone.

        A workload that this backend never started, or whose bundle was deleted, is `gone`. One whose agent died without
        a word is `exited` with reason `lost`, and nothing of it is left running.
        """
        ...

    def usage(self, handle: Handle) -> Usage | None:
        """What the workload takes at this moment; None when it does not run."""
        ...

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Ask for the end: SIGTERM now, SIGKILL after `grace_s`; returns at once.

        A workload that has ended or is gone is left alone; a second call may only shorten the grace.
        """
        ...

    def delete(self, handle: Handle) -> None:
        """End the workload at once and take away what it holds outside its bundle; safe to repeat."""
        ...

    def execute(self, handle: Handle, argv: Sequence[str], *, timeout_s: float | None = None) -> Completed:
        """Run a further command inside a running workload to its end.

        Raises:
            ConnectionError: the workload does not run.
            TimeoutError: the command took too long and was ended.
        """
        ...

    def session(self, handle: Handle, argv: Sequence[str], files: Sequence[int], env: Mapping[str, str]) -> Session:
        """Start a further process inside a running workload on three open files, those of a terminal for instance.

        Raises:
            ConnectionError: the workload does not run.
        """
        ...

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with a workload's id, from a thread of the backend, whenever its phase may have changed."""
        ...

    def close(self) -> None:
        """Let go of this process's resources; workloads go on."""
        ...
