from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from clary.compute.base import Handle, Observation, Workload
from clary.compute.probe import Machine, probe
from clary.compute.process import ProcessBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20


@dataclass
class Bench:
    """Starts workloads on a backend and waits for them by its messages."""

    backend: ProcessBackend
    folder: Path
    changed: threading.Event = field(default_factory=threading.Event)
    handles: list[Handle] = field(default_factory=list)

    def workload(self, name: str, *command: str, **options: object) -> Workload:
        values = {"env": {}, "cpus": 1.0, "memory_bytes": 512 * MIB, **options}
        return Workload(id=f"test/{name}", bundle=self.folder / name, command=command, **values)  # type: ignore[arg-type]

    def start(self, name: str, *command: str, **options: object) -> Handle:
        handle = self.backend.start(self.workload(name, *command, **options))
        self.handles.append(handle)
        return handle

    def wait(self, handle: Handle, until: Callable[[Observation], bool] | None = None) -> Observation:
        done = until or (lambda seen: seen.phase == "exited")
        for _ in range(100):
            self.changed.clear()
            seen = self.backend.poll(handle)
            if done(seen):
                return seen
            self.changed.wait(0.2)
        raise AssertionError(f"still {seen} after 20 s")

    def run(self, name: str, *command: str, **options: object) -> Observation:
        return self.wait(self.start(name, *command, **options))

    def wait_for_line(self, name: str, text: str) -> None:
        for _ in range(200):
            if (self.folder / name / "log").exists() and any(text in line for line in self.log(name)):
                return
            threading.Event().wait(0.02)
        raise AssertionError(f"{text!r} never came: {self.log(name)}")

    def log(self, name: str) -> list[str]:
        """The lines without their times."""
        return [line.partition(" ")[2] for line in (self.folder / name / "log").read_text().splitlines()]


@pytest.fixture(scope="session")
def machine() -> Machine:
    return probe()


@pytest.fixture(scope="session")
def plain_machine() -> Machine:
    """A machine that refuses namespaces and control groups."""
    return Machine(isolation="none", reason="for this test")


def _bench(folder: Path, machine: Machine, *, warm: bool = False) -> Iterator[Bench]:
    backend = ProcessBackend(folder / "compute", machine, warm=warm)
    bench = Bench(backend, folder)
    backend.on_change(lambda _: bench.changed.set())
    yield bench
    for handle in bench.handles:
        backend.delete(handle)
    backend.close()


@pytest.fixture
def bench(tmp_path: Path, machine: Machine) -> Iterator[Bench]:
    """Workloads with all that this machine offers."""
    yield from _bench(tmp_path, machine)


@pytest.fixture
def plain_bench(tmp_path: Path, plain_machine: Machine) -> Iterator[Bench]:
    """Workloads as plain processes."""
    yield from _bench(tmp_path, plain_machine)


@pytest.fixture(params=["sandboxed", "plain"])
def any_bench(request: pytest.FixtureRequest) -> Bench:
    """Both, one after the other."""
    name = "bench" if request.param == "sandboxed" else "plain_bench"
    bench: Bench = request.getfixturevalue(name)
    return bench


@pytest.fixture(scope="module")
def warm_bench(tmp_path_factory: pytest.TempPathFactory, machine: Machine) -> Iterator[Bench]:
    """Workloads forked from an interpreter with the science libraries."""
    for bench in _bench(tmp_path_factory.mktemp("warm"), machine, warm=True):
        assert bench.backend.wait_warm(60)
        yield bench
