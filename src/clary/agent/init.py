"""The first process of a sandbox: starts the workload, reaps, passes signals on, reports how it ended."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from clary.agent import bundle, container, inputs, linux, processes, python, sandbox
from clary.agent.workload import ML_ROOT, RUN_ROOT, SERVE_SOCKET, Bind, Task, Workload

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from types import FrameType

    from clary.agent.cgroups import Cgroups
    from clary.agent.python import WarmInterpreter

_LINUX = sys.platform == "linux"
_NOT_STARTED = 125
OUTPUTS = tuple(f"{ML_ROOT}/{name}" for name in ("model", "output", "checkpoints", "processing"))
"""Where the user of an image may write."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The agent's descriptors that the first process writes to."""

    report: int
    """Told `running` or `failed REASON`, then the wait status of the workload."""
    output: int
    """What the workload prints."""
    relay: socket.socket | None
    """Given the listeners made inside the workload's network."""
    inputs: socket.socket | None = None
    """Given the file system through which the workload reads its inputs."""


def run(task: Task, cgroups: Cgroups, ends: Ends, *, warm: WarmInterpreter | None) -> NoReturn:
    """Be process 1 of the workload."""
    status = _NOT_STARTED << 8
    _keep_only(ends)
    # The agent's own handler would let the workload miss a signal that comes before its command begins.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _prepare(task, cgroups, ends)
        child = _spawn(task, ends, warm=warm)
        signal.signal(signal.SIGTERM, _pass_on(child))
        os.write(ends.report, b"running\n")
        status = _reap_until(child)
        if task.isolation == "none":
            processes.kill_descendants(os.getpid())
    except BaseException as error:  # noqa: BLE001  # a fork must never return into its parent's code
        os.write(ends.report, f"failed {error}\n".encode())
    os.write(ends.report, f"{status}\n".encode())
    os._exit(0)


def environment(task: Task) -> dict[str, str]:
    """The variables of a workload, with defaults for what programs cannot do without."""
    workload = task.workload
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
    if workload.container is not None:
        del defaults["HOME"]
        defaults["PATH"] = container.PATH
    if task.isolation != "none":
        return {**defaults, **workload.env}
    home = str(workload.bundle / bundle.SCRATCH / "root")
    moved = {name: _relocated(value, workload) for name, value in workload.env.items()}
    return {**defaults, **moved, "CLARY_ML_ROOT": str(workload.bundle / "ml"), "HOME": home, "TMPDIR": home}


def _relocated(text: str, workload: Workload) -> str:
    """The same with the bundle's own paths, as without a sandbox nobody can be given a private /opt/ml."""
    return text.replace(ML_ROOT, str(workload.bundle / "ml")).replace(RUN_ROOT, str(workload.bundle / "run"))


def _keep_only(ends: Ends) -> None:
    """Close the agent's files, which the workload could otherwise open by way of /proc/1/fd."""
    for standard in (1, 2):
        os.dup2(ends.output, standard)
    sockets = (each.fileno() for each in (ends.relay, ends.inputs) if each is not None)
    kept = sorted({2, ends.report, ends.output, *sockets})
    for low, high in itertools.pairwise([*kept, os.sysconf("SC_OPEN_MAX")]):
        os.closerange(low + 1, high)


def _prepare(task: Task, cgroups: Cgroups, ends: Ends) -> None:
    if _LINUX:
        linux.die_with_parent(signal.SIGKILL)
        linux.adopt_orphans()
    _prefer_as_oom_victim()
    cgroups.join()
    workload = task.workload
    scratch = workload.bundle / bundle.SCRATCH
    if task.isolation == "none":
        if workload.container is not None:
            raise OSError("an image of one's own needs a sandbox, which this machine does not allow")
        if workload.root is not None:
            raise OSError("an instance needs a sandbox, which this machine does not allow")
        if not workload.network:
            raise OSError("network isolation needs a sandbox, which this machine does not allow")
        if workload.inputs:
            raise OSError("inputs that were not copied need a sandbox, which this machine does not allow")
        if len(workload.hosts) > 1:
            raise OSError("several hosts need sandboxes, which this machine does not allow")
        (scratch / "root").mkdir(parents=True, exist_ok=True)
        return
    lead_in = _inlet(workload) if workload.container is not None else None
    view = sandbox.View(
        base=scratch / "base",
        hostname=workload.hostname,
        hosts=workload.hosts,
        binds=(*_folders(task, scratch), *workload.binds),
        cgroups=cgroups.view(),
        memory_bytes=workload.memory_bytes,
        network=workload.network or workload.network_of is not None,
        forwards=workload.forwards,
        layers=workload.root or scratch,
        changeable=(*task.changeable, *workload.changeable),
        root=workload.root,
        container=workload.container,
        shown=inputs.Shown(workload.inputs, workload.bundle, ends.inputs),
    )
    view.base.mkdir(parents=True, exist_ok=True)
    sandbox.enter(view, ends.relay)
    if ends.relay is not None:
        ends.relay.close()
    if lead_in is not None:
        lead_in()


def _folders(task: Task, scratch: Path) -> Iterable[Bind]:
    """What a workload is shown besides the system."""
    workload = task.workload
    if workload.container is not None:
        return sandbox.contents(workload.bundle)
    installed = (Bind(Path(path).resolve(), path) for path in task.readonly)
    return (*sandbox.folders(scratch, workload.bundle, workload.root), *installed)


def _inlet(workload: Workload) -> Callable[[], None] | None:
    """Keeps the system of the image; gives what leads requests in once the view is entered, if there are to be any."""
    assert workload.container is not None  # noqa: S101  # the caller asked
    container.hold(workload.container)
    if not workload.container.port:
        return None
    # Imported before the view hides our own files, and by those alone who need it.
    from clary.agent import relay  # noqa: PLC0415

    return partial(relay.lead_in, f"{RUN_ROOT}/{SERVE_SOCKET}", workload.container.port)


def _prefer_as_oom_victim() -> None:
    """Let a machine out of memory kill workloads before anything else."""
    path = Path("/proc/self/oom_score_adj")
    if path.exists():
        path.write_text("500")


def _spawn(task: Task, ends: Ends, *, warm: WarmInterpreter | None) -> int:
    child = os.fork()
    if child:
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    try:
        os.close(ends.report)
        _become_workload(task, ends.output, warm=warm)
    except BaseException as error:  # noqa: BLE001  # a fork must never return into its parent's code
        os.write(2, f"clary: cannot run {task.workload.command[0]}: {error}\n".encode())
    os._exit(127)


def _become_workload(task: Task, output: int, *, warm: WarmInterpreter | None) -> None:
    if _LINUX:
        linux.die_with_parent(signal.SIGKILL)
    # Parent and child both do this, so that the group exists before either needs it.
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((null, output, output)):
        os.dup2(descriptor, number)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    command, env, cwd = _command(task.workload), environment(task), task.workload.cwd
    if task.isolation == "none":
        command, cwd = [_relocated(word, task.workload) for word in command], _relocated(cwd, task.workload)
    if task.workload.container is not None:
        user = container.find_user(task.workload.container.user)
        env = {"HOME": user.home, **env}
        Path(cwd).mkdir(parents=True, exist_ok=True)
        own = (bind.target for bind in task.workload.binds if bind.writable)
        container.become(user, (*OUTPUTS, *own), output)
    os.chdir(cwd)
    if warm is not None and task.workload.warm:
        script = python.parse(command, env)
        if script is not None:
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            warm.run(script, env, cpus=task.workload.cpus)
    os.execvpe(command[0], command, env)  # noqa: S606  # running the user's command is the purpose


def _command(workload: Workload) -> list[str]:
    first, *rest = workload.command
    if workload.container is not None:
        return [first, *rest]
    return [sys.executable if first in {"python", "python3"} else first, *rest]


def _pass_on(child: int) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(child, number)

    return handle


def _reap_until(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            return status
