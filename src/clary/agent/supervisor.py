"""The agent: tends one workload from before its start until its results are packed."""

from __future__ import annotations

import hashlib
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import archive, bundle, init, inputs, linux, processes
from clary.agent.cgroups import Cgroups
from clary.agent.logs import LogWriter
from clary.agent.session import Sessions
from clary.agent.status import Status
from clary.agent.workload import Task

if TYPE_CHECKING:
    from clary.agent.python import WarmInterpreter

_LINUX = sys.platform == "linux"
_WATCH_S = 0.5
"""How often memory is measured where no control group limits it."""
_FULL_BYTES = 1 << 16
"""A workload that fails with less room than this left has probably failed for want of it."""
_LONGEST_S = 3600.0
"""The longest time that select accepts anywhere."""
_PEER_S = 30.0
"""How long to wait for the host whose network is to be shared."""
_PEER_LOOK_S = 0.005
_FOLDER_S = 2.0
"""How often to look whether the state folder is still there."""


def cgroups_of(task: Task) -> Cgroups:
    """The control groups of a task; their name follows from the bundle alone, so that anyone can sweep them."""
    name = hashlib.sha256(str(task.workload.bundle).encode()).hexdigest()[:16]
    return Cgroups(task.cgroups, name)


def tend(folder: Path, *, warm: WarmInterpreter | None = None) -> int:
    """Be the agent of the workload in `folder`; 0 when it was tended to its end, 1 when it has an agent or an end.

    `warm` is given in a fork of a warm interpreter, in which the workload may run.
    """
    value = bundle.read(folder / bundle.TASK)
    if value is None or not bundle.claim(folder) or (folder / bundle.EXIT).exists():
        return 1
    if _LINUX:
        linux.adopt_orphans()
    bundle.keep_room(folder)
    _keep_own_words(folder)
    task = Task.from_json(value)
    if task.isolation == "container":
        # Imported here, as most workloads need no client of HTTP.
        from clary.agent.engine import Attendant  # noqa: PLC0415

        Attendant(task).run()
    else:
        Supervisor(task, warm=warm).run()
    return 0


def _keep_own_words(folder: Path) -> None:
    """Send what the agent itself prints, which is nothing unless it fails, to a file beside the workload's log."""
    descriptor = os.open(folder / bundle.AGENT_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


class Supervisor:
    """Runs one task to its end."""

    def __init__(self, task: Task, *, warm: WarmInterpreter | None) -> None:
        self._task = task
        self._warm = warm
        self._workload = task.workload
        self._folder = task.workload.bundle
        self._cgroups = cgroups_of(task)
        self._log = LogWriter(self._folder / bundle.LOG, task.workload.log_bytes)
        self._selector = selectors.DefaultSelector()
        self._status = Status(task)
        self._sessions = Sessions(task, self._cgroups, init.environment(task), self._selector)
        self._streams: set[int] = set()
        """What is still to be read of the workload."""
        self._own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if _LINUX else -1
        self._init = 0
        self._report = b""
        self._reason = ""
        self._kill_at: float | None = None
        self._timeout_at: float | None = None
        self._peak_bytes = 0
        self._measure_at = 0.0

    def run(self) -> None:
        """Start the workload, tend it and write down how it ended."""
        wakeup, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(alarm)
        self._selector.register(wakeup, selectors.EVENT_READ, self._on_signal)
        self._status.tell("starting")
        for note in self._workload.notes:
            self._log.say(f"[clary] {note}")
        try:
            self._cgroups.create(
                cpus=self._workload.cpus, memory_bytes=self._workload.memory_bytes, pids=self._workload.pids
            )
            self._start()
            self._on_signal(wakeup)
            status = self._tend()
        except OSError as error:
            self._report, status = f"failed {error}\n".encode(), 125 << 8
            self._abandon()
        self._end(status)

    def _start(self) -> None:
        # First, so that it holds no end of the pipes, whose closing tells the end of the workload.
        relay = self._start_relay() if self._workload.forwards and self._task.isolation == "namespaces" else None
        self._start_feeders()
        server = inputs.start_server(self._workload)
        output_read, output = os.pipe2(os.O_CLOEXEC)
        report_read, report = os.pipe2(os.O_CLOEXEC)
        if self._task.isolation == "namespaces":
            new_process_namespace(self._peer())
        elif not self._cgroups.limits_cpu and _LINUX:
            _pin(self._workload.cpus)
        self._init = os.fork()
        if self._init == 0:
            signal.set_wakeup_fd(-1)
            init.run(self._task, self._cgroups, init.Ends(report, output, relay, server), warm=self._warm)
        os.close(output)
        os.close(report)
        for channel in (relay, server):
            if channel is not None:
                channel.close()
        self._streams = {output_read, report_read}
        self._selector.register(output_read, selectors.EVENT_READ, self._on_output)
        self._selector.register(report_read, selectors.EVENT_READ, self._on_report)

    def _peer(self) -> int | None:
        """A descriptor of the first process of the workload whose network is shared, once that has begun."""
        folder = self._workload.network_of
        if folder is None:
            return None
        for _ in range(round(_PEER_S / _PEER_LOOK_S)):
            status = bundle.read(folder / bundle.STATUS) or {}
            if "init" in status:
                return os.pidfd_open(status["init"])
            time.sleep(_PEER_LOOK_S)
        raise OSError("the host whose network is to be shared does not begin")

    def _start_relay(self) -> socket.socket:
        """A process of its own outside the sandbox, because it serves connections while this one may be packing."""
        # Imported here, as asyncio would delay the first line of every other workload.
        from clary.agent import relay  # noqa: PLC0415

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            relay.run(theirs, self._workload.forwards)
        theirs.close()
        return ours

    def _start_feeders(self) -> None:
        if self._workload.pipes:
            # Imported here for the same reason.
            from clary.agent import feeder  # noqa: PLC0415

            feeder.start(self._workload)

    def _input_failure(self) -> str:
        path = self._folder / bundle.INPUTS / bundle.FAILURE
        return path.read_text() if self._workload.pipes and path.exists() else ""

    def _tend(self) -> int:
        """Serve events until the workload's processes are gone and their output is read."""
        while self._streams:
            for key, _ in self._selector.select(self._patience()):
                # An earlier event of the same round may have closed it.
                if key.fd in self._selector.get_map():
                    key.data(key.fd)
            self._check_times()
            self._check_memory()
            self._check_folder()
        self._sessions.close()
        _, status = os.waitpid(self._init, 0)
        words = self._report.split()
        return int(words[-1]) if words and words[-1].isdigit() else status

    def _patience(self) -> float:
        moments = [moment for moment in (self._kill_at, self._timeout_at) if moment is not None]
        waits = [min(_LONGEST_S, max(0.0, moment - time.monotonic())) for moment in moments]
        waits.append(_FOLDER_S)
        if not self._cgroups.limits_memory:
            waits.append(_WATCH_S)
        return min(waits)

    def _on_output(self, descriptor: int) -> None:
        data = os.read(descriptor, 1 << 16)
        if data:
            self._log.feed(data)
        else:
            self._forget(descriptor)

    def _on_report(self, descriptor: int) -> None:
        data = os.read(descriptor, 4096)
        if not data:
            self._forget(descriptor)
            self._sweep()
        elif b"running\n" in data:
            started_at = time.time()
            if self._workload.timeout_s is not None:
                self._timeout_at = time.monotonic() + self._workload.timeout_s
            self._sessions.open(self._init)
            self._status.tell("running", started_at=started_at, init=self._init)
            # A wish to stop may have come before anybody could hear the signal.
            if self._kill_at is not None:
                os.kill(self._init, signal.SIGTERM)
        self._report += data

    def _forget(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        self._streams.discard(descriptor)
        os.close(descriptor)

    def _on_signal(self, descriptor: int) -> None:
        with suppress(BlockingIOError):
            os.read(descriptor, 4096)
        wish = bundle.read(self._folder / bundle.STOP)
        if wish is not None:
            self._stop("stopped", wish["grace_s"])
        if self._input_failure():
            self._stop("inputs", 0.0)

    def _stop(self, reason: str, grace_s: float) -> None:
        self._reason = self._reason or reason
        deadline = time.monotonic() + grace_s
        if self._kill_at is None:
            os.kill(self._init, signal.SIGTERM)
        self._kill_at = min(deadline, self._kill_at or deadline)

    def _check_times(self) -> None:
        now = time.monotonic()
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            self._stop("timeout", self._workload.grace_s)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()

    def _check_memory(self) -> None:
        now = time.monotonic()
        if self._cgroups.limits_memory or now < self._measure_at:
            return
        self._measure_at = now + _WATCH_S
        used = processes.memory_bytes(processes.descendants(os.getpid()), self._workload.memory_bytes)
        self._peak_bytes = max(self._peak_bytes, used)
        if used > self._workload.memory_bytes:
            self._reason = "oom"
            self._kill()

    def _check_folder(self) -> None:
        """Somebody who removes the platform's folder wants nothing of it to run any longer."""
        if self._kill_at is None and not (self._folder / bundle.TASK).exists():
            self._kill()

    def _kill(self) -> None:
        self._kill_at = float("inf")
        os.kill(self._init, signal.SIGKILL)
        self._sweep()

    def _abandon(self) -> None:
        """End a workload that cannot be tended any further."""
        if self._init:
            self._kill()
            with suppress(ChildProcessError):
                os.waitpid(self._init, 0)

    def _sweep(self) -> None:
        """Do by hand what the end of a process namespace does by itself."""
        if self._task.isolation == "none":
            processes.kill_descendants(os.getpid())

    def _end(self, status: int) -> None:
        self._log.close()
        if self._cgroups.oom_kills() and status != 0:
            self._reason = "oom"
        if status != 0 and not self._reason and shutil.disk_usage(self._folder).free < _FULL_BYTES:
            self._reason = "disk"
        self._status.tell("archiving", ended_at=time.time())
        message = self._failure() or self._input_failure() or self._archive()
        peak = self._cgroups.peak_memory_bytes() or self._peak_bytes
        self._cgroups.kill()
        self._cgroups.remove()
        bundle.remove(self._folder / bundle.SCRATCH)
        code = os.waitstatus_to_exitcode(status)
        self._status.end(
            exit_code=code if code >= 0 else 128 - code,
            signal=-code if code < 0 else 0,
            reason=self._reason,
            message=message,
            peak_memory_bytes=peak,
        )

    def _archive(self) -> str:
        try:
            leave_process_namespace(self._own_processes)
            for wanted in self._workload.archives:
                archive.pack([self._folder], wanted)
        except (OSError, ValueError) as error:
            self._reason = self._reason or "archive"
            return str(error)
        return ""

    def _failure(self) -> str:
        line = self._report.partition(b"\n")[0].decode()
        if not line.startswith("failed "):
            return ""
        self._reason = self._reason or "sandbox"
        return line.removeprefix("failed ")


def new_process_namespace(peer: int | None = None) -> None:
    """Let the next child be process 1 of a namespace of its own, by way of a user namespace when not root.

    It shares the network of the process behind the descriptor `peer`, if one is given.
    """
    root = os.geteuid() == 0
    if peer is not None:
        linux.join(peer, linux.CLONE_NEWNET if root else linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
        os.close(peer)
    if root or peer is not None:
        linux.unshare(linux.CLONE_NEWPID)
        return
    user, group = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def leave_process_namespace(own: int) -> None:
    """Let this process have threads again, which the kernel refuses between a namespace and its first process."""
    if own >= 0:
        # An ordinary user may not go back.
        with suppress(OSError):
            linux.join(own, linux.CLONE_NEWPID)


def _pin(cpus: float) -> None:
    """Keep this process and its children to as many processors as the workload has."""
    allowed = sorted(os.sched_getaffinity(0))
    count = max(1, round(cpus))
    first = os.getpid() % len(allowed)
    os.sched_setaffinity(0, {allowed[(first + step) % len(allowed)] for step in range(min(count, len(allowed)))})
