"""The first process of a sandbox: starts the workload, reaps, passes signals on, reports how it ended."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from clary.agent import bundle, linux, processes, python, sandbox
from clary.agent.workload import ML_ROOT, Bind, Task, Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from clary.agent.cgroups import Cgroups
    from clary.agent.python import WarmInterpreter

_LINUX = sys.platform == "linux"
_NOT_STARTED = 125


def run(task: Task, cgroups: Cgroups, report: int, output: int, *, warm: WarmInterpreter | None) -> NoReturn:
    """Be process 1 of the workload; tell `report` first `running` or `failed REASON`, then the wait status."""
    status = _NOT_STARTED << 8
    try:
        _prepare(task, cgroups)
        child = _spawn(task, report, output, warm=warm)
        signal.signal(signal.SIGTERM, _pass_on(child))
        os.write(report, b"running\n")
        status = _reap_until(child)
        if task.isolation == "none":
            processes.kill_descendants(os.getpid())
    except OSError as error:
        os.write(report, f"failed {error}\n".encode())
    os.write(report, f"{status}\n".encode())
    os._exit(0)


def _prepare(task: Task, cgroups: Cgroups) -> None:
    if _LINUX:
        linux.die_with_parent(signal.SIGKILL)
        linux.adopt_orphans()
    _prefer_as_oom_victim()
    cgroups.join()
    if task.isolation == "none":
        return
    workload = task.workload
    scratch = workload.bundle / bundle.SCRATCH
    installed = (Bind(Path(path).resolve(), path) for path in task.readonly)
    view = sandbox.View(
        base=scratch / "base",
        hostname=workload.hostname,
        hosts=workload.hosts,
        binds=(*sandbox.folders(scratch, workload.bundle, workload.root), *installed, *workload.binds),
        cgroups=cgroups.view(),
        memory_bytes=workload.memory_bytes,
        network=workload.network,
    )
    view.base.mkdir(parents=True, exist_ok=True)
    sandbox.enter(view)


def _prefer_as_oom_victim() -> None:
    """Let a machine out of memory kill workloads before anything else."""
    path = Path("/proc/self/oom_score_adj")
    if path.exists():
        path.write_text("500")


def _spawn(task: Task, report: int, output: int, *, warm: WarmInterpreter | None) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.close(report)
        _become_workload(task, output, warm=warm)
    except BaseException as error:  # noqa: BLE001  # a fork must never return into its parent's code
        os.write(2, f"clary: cannot run {task.workload.command[0]}: {error}\n".encode())
    os._exit(127)


def _become_workload(task: Task, output: int, *, warm: WarmInterpreter | None) -> None:
    if _LINUX:
        linux.die_with_parent(signal.SIGKILL)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((null, output, output)):
        os.dup2(descriptor, number)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    command, env, cwd = _command(task.workload), _environment(task.workload), task.workload.cwd
    if task.isolation == "none":
        command, env, cwd = _without_view(task.workload, command, env, cwd)
    os.chdir(cwd)
    if warm is not None and task.workload.warm:
        script = python.parse(command, env)
        if script is not None:
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            warm.run(script, env, cpus=task.workload.cpus)
    os.execvpe(command[0], command, env)  # noqa: S606  # running the user's command is the purpose


def _command(workload: Workload) -> list[str]:
    first, *rest = workload.command
    return [sys.executable if first in {"python", "python3"} and workload.root is None else first, *rest]


def _environment(workload: Workload) -> dict[str, str]:
    folder = os.path.dirname(sys.executable)  # noqa: PTH120  # pathlib has nothing better for a string
    threads = str(max(1, int(workload.cpus)))
    defaults = {
        "PATH": f"{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMEXPR_NUM_THREADS": threads,
        "CLARY_WORKLOAD": workload.id,
    }
    return {**defaults, **workload.env}


def _without_view(
    workload: Workload, command: list[str], env: dict[str, str], cwd: str
) -> tuple[list[str], dict[str, str], str]:
    """The same with the bundle's own paths, as nobody can be given a private /opt/ml."""
    root = str(workload.bundle / "ml")
    home = workload.bundle / bundle.SCRATCH / "root"
    home.mkdir(parents=True, exist_ok=True)
    moved = {name: value.replace(ML_ROOT, root) for name, value in env.items()}
    moved = {**moved, "CLARY_ML_ROOT": root, "HOME": workload.env.get("HOME", str(home)), "TMPDIR": str(home)}
    return [word.replace(ML_ROOT, root) for word in command], moved, cwd.replace(ML_ROOT, root)


def _pass_on(child: int) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, _frame: FrameType | None) -> None:
        os.killpg(child, number)

    return handle


def _reap_until(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            return status
