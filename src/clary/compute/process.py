"""Runs workloads as processes of this machine, each under an agent of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.agent import bundle, engine, processes, supervisor
from clary.agent.workload import Task
from clary.compute.base import Handle, Observation, Usage, Workload
from clary.compute.session import Completed, Session, run
from clary.compute.warm import WarmInterpreter
from clary.compute.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clary.compute.probe import Machine

_BIRTH_S = 30.0
"""How long an agent may take, on a busy machine, until it has claimed its bundle."""
_SLOW_BIRTH_S = 2.0
"""After that another one is begun."""
# Detaches before the imports, so that the platform waits for nothing but the start of an interpreter.
_COLD = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
sys.path.insert(0, sys.argv.pop(1))
from clary.agent.__main__ import main
main()
"""


class ProcessBackend:
    """Workloads as sandboxed processes beside the platform."""

    def __init__(self, home: Path, machine: Machine, *, warm: bool = True) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._machine = machine
        self._watcher = Watcher(home / "watch.sock")
        self._warm = WarmInterpreter(home / "warm.log") if warm else None
        if self._warm is not None:
            self._warm.start()

    @property
    def copies(self) -> str:
        """What the probe found."""
        return self._machine.copies

    @property
    def elsewhere(self) -> bool:
        """They run beside the platform."""
        return False

    def start(self, workload: Workload) -> Handle:
        """Begin `workload`, forked from the warm interpreter where possible."""
        folder = workload.bundle
        handle = self._handle(workload.id, folder)
        if _has_begun(folder):
            return handle
        for name in ("ml", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        in_engine = workload.container is not None and workload.container.engine
        task = Task(
            workload=workload,
            isolation="container" if in_engine else self._machine.isolation,
            cgroups=self._machine.cgroups,
            readonly=_installed(),
            changeable=(sys.prefix,) if sys.prefix != sys.base_prefix else (),
            notify=str(self._watcher.address),
        )
        bundle.write(folder / bundle.TASK, task.to_json())
        if not (workload.warm and self._warm is not None and self._warm.fork(folder)):
            _start_cold(folder)
        return handle

    def find(self, workload_id: str, folder: Path) -> Handle | None:
        """Whether the bundle holds a task tells whether it was begun."""
        return self._handle(workload_id, folder) if (folder / bundle.TASK).exists() else None

    def poll(self, handle: Handle) -> Observation:
        """Read the agent's last words, or clear up after one that had none."""
        folder = Path(handle["bundle"])
        self._watcher.watch(handle["id"], folder)
        # Before the look for the agent: one that is born after that look writes a status, and is not dead.
        status = bundle.read(folder / bundle.STATUS)
        end = bundle.read(folder / bundle.EXIT)
        if end is not None:
            return _observation(end)
        if bundle.agent_pid(folder) is not None:
            return _observation(bundle.read(folder / bundle.STATUS) or {"phase": "starting"})
        # It may have ended between the two looks.
        end = bundle.read(folder / bundle.EXIT)
        if end is not None:
            return _observation(end)
        return self._without_agent(folder, status)

    def usage(self, handle: Handle) -> Usage | None:
        """Add up the processes below the agent; memory that they share counts once."""
        folder = Path(handle["bundle"])
        agent = bundle.agent_pid(folder)
        if agent is None or (folder / bundle.EXIT).exists():
            return None
        pids = processes.descendants(agent)
        return Usage(processes.cpu_s(pids), processes.memory_bytes(pids, limit=0))

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Leave the wish in the bundle and wake the agent; one that is just being born finds it there."""
        folder = Path(handle["bundle"])
        if not folder.exists() or (folder / bundle.EXIT).exists():
            return
        earlier = bundle.read(folder / bundle.STOP)
        if earlier is None or grace_s < earlier["grace_s"]:
            bundle.write(folder / bundle.STOP, {"grace_s": grace_s})
        _signal_agent(folder, signal.SIGTERM)

    def delete(self, handle: Handle) -> None:
        """Kill the agent, and with it all that it tends."""
        folder = Path(handle["bundle"])
        _signal_agent(folder, signal.SIGKILL)
        _clear(folder)

    def execute(self, handle: Handle, argv: Sequence[str], *, timeout_s: float | None = None) -> Completed:
        """Ask the agent for a process beside the workload and wait for it."""
        return run(handle, argv, timeout_s=timeout_s)

    def session(self, handle: Handle, argv: Sequence[str], files: Sequence[int], env: Mapping[str, str]) -> Session:
        """Ask the agent for a process beside the workload."""
        return Session(handle, argv, files, env=env)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback` at every message or end of an agent."""
        self._watcher.subscribe(callback)

    def wait_warm(self, timeout_s: float) -> bool:
        """Wait until workloads can be forked from the warm interpreter; False when they cannot in time."""
        return self._warm is not None and self._warm.wait_ready(timeout_s)

    def close(self) -> None:
        """End the warm interpreter and the watching thread."""
        if self._warm is not None:
            self._warm.close()
        self._watcher.close()

    def _handle(self, workload_id: str, folder: Path) -> Handle:
        return {"id": workload_id, "bundle": str(folder), "isolation": self._machine.isolation}

    def _without_agent(self, folder: Path, status: dict[str, Any] | None) -> Observation:
        try:
            age_s = time.time() - (folder / bundle.TASK).stat().st_mtime
        except FileNotFoundError:
            return Observation(phase="gone")
        if status is None and age_s < _BIRTH_S:
            if age_s > _SLOW_BIRTH_S:
                # The platform may have been killed between the task and the fork; a bundle takes one agent only.
                _start_cold(folder)
            return Observation(phase="starting", isolation=self._machine.isolation)
        _clear(folder)
        end = {**(status or {}), "phase": "exited", "reason": "lost", "message": "the agent of the workload died"}
        bundle.write(folder / bundle.EXIT, end)
        return _observation(end)


def _has_begun(folder: Path) -> bool:
    return (
        any((folder / name).exists() for name in (bundle.STATUS, bundle.EXIT)) or bundle.agent_pid(folder) is not None
    )


def _start_cold(folder: Path) -> None:
    subprocess.run(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-I", "-S", "-c", _COLD, _source(), str(folder)],
        env={"LANG": "C.UTF-8", "PATH": os.defpath},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _source() -> str:
    return str(Path(supervisor.__file__).parents[2])


def _installed() -> tuple[str, ...]:
    """Where Python, its packages and this platform are, save what lies in the system's own folders."""
    wanted = dict.fromkeys(
        folder
        for place in (sys.base_prefix, sys.prefix, _source(), *_packages_elsewhere())
        for folder in (place, str(Path(place).resolve()))
    )
    return tuple(place for place in wanted if not Path(place).is_relative_to("/usr"))


def _packages_elsewhere() -> list[str]:
    """Folders of editable installs and the like, outside the installation."""
    known = (Path(sys.prefix), Path(sys.base_prefix))
    folders = (Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    return [str(folder) for folder in folders if not any(folder.is_relative_to(place) for place in known)]


def _signal_agent(folder: Path, number: signal.Signals) -> None:
    pid = bundle.agent_pid(folder)
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _clear(folder: Path) -> None:
    """Take away what a dead agent could not."""
    value = bundle.read(folder / bundle.TASK)
    if value is None:
        return
    task = Task.from_json(value)
    if task.isolation == "container":
        engine.discard(task)
    groups = supervisor.cgroups_of(task)
    groups.kill()
    if task.isolation == "none":
        for pid in processes.marked("CLARY_WORKLOAD", task.workload.id):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    groups.remove()
    bundle.remove(folder / bundle.SCRATCH)


def _observation(status: dict[str, Any]) -> Observation:
    names = ("phase", "exit_code", "signal", "reason", "message", "isolation", "peak_memory_bytes")
    known = {name: status[name] for name in names if name in status}
    for name in ("started_at", "ended_at"):
        if name in status:
            known[name] = datetime.fromtimestamp(status[name], UTC)
    return Observation(**known)
