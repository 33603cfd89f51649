"""A backend whose workloads do what a test says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.compute.base import Backend, Handle, Observation, Usage, Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clary.compute.session import Completed, Session


class BackendByHand(Backend):
    """Runs nothing; workloads start at once and end when they are told to."""

    def __init__(self) -> None:
        self.started: list[Workload] = []
        self.states: dict[str, Observation] = {}
        self.first = Observation(phase="running")

    def start(self, workload: Workload) -> Handle:
        if workload.id not in self.states:
            self.started.append(workload)
            self.states[workload.id] = self.first
        return {"id": workload.id}

    def find(self, workload_id: str, folder: Path) -> Handle | None:  # noqa: ARG002  # the contract's shape
        return {"id": workload_id} if workload_id in self.states else None

    def poll(self, handle: Handle) -> Observation:
        return self.states.get(handle["id"], Observation(phase="gone"))

    def stop(self, handle: Handle, grace_s: float) -> None:
        self.end(handle["id"], reason="stopped", message=f"after {grace_s:g} s")

    def delete(self, handle: Handle) -> None:
        self.states.pop(handle["id"], None)

    def usage(self, handle: Handle) -> Usage | None:  # noqa: ARG002  # the contract's shape
        return None

    def execute(self, handle: Handle, *_: object, **__: object) -> Completed:
        raise ConnectionError(handle["id"])

    def session(self, handle: Handle, *_: object, **__: object) -> Session:
        raise ConnectionError(handle["id"])

    def on_change(self, callback: Callable[[str], None]) -> None:
        pass

    def close(self) -> None:
        pass

    def end(self, workload_id: str, **how: object) -> None:
        """Makes a workload end."""
        ended = Observation(phase="exited", exit_code=0)
        self.states[workload_id] = replace(ended, **how)  # type: ignore[arg-type]  # members of an observation
