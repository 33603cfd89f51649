"""Further processes inside a running workload, asked for over a Unix socket.

Each session is one connection. The request is the JSON object {"argv", "env", "cwd"} with the session's three standard
files as descriptors; the answer is {"exit_code"} at the end. A caller that hangs up ends the session.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import socket
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from clary.agent import bundle, linux

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.agent.cgroups import Cgroups
    from clary.agent.workload import Task

_NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
_REQUEST_BYTES = 1 << 17
_REQUEST_S = 2.0
"""A caller that says nothing may not hold the agent up for longer."""


class Sessions:
    """The sessions of one workload, served by its agent."""

    def __init__(self, task: Task, cgroups: Cgroups, env: Mapping[str, str], selector: selectors.BaseSelector) -> None:
        self._task = task
        self._cgroups = cgroups
        self._env = env
        self._selector = selector
        self._init = -1
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sessions: dict[int, _Session] = {}
        """By the descriptor of the connection and by that of the process."""

    def open(self, init: int) -> None:
        """Take requests for processes beside `init`, the workload's first process."""
        # Opened here, because the number means nothing in the workload's own process namespace.
        self._init = os.pidfd_open(init)
        path = self._task.workload.bundle / bundle.CONTROL
        path.unlink(missing_ok=True)
        with bundle.address(path) as address:
            self._listener.bind(address)
        path.chmod(0o600)
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_caller)

    def close(self) -> None:
        """Refuse further requests and answer those whose processes ended with the workload."""
        self._listener.close()
        for session in set(self._sessions.values()):
            session.kill()
            self._end(session)
        (self._task.workload.bundle / bundle.CONTROL).unlink(missing_ok=True)

    def _on_caller(self, _descriptor: int) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(_REQUEST_S)
        files: list[int] = []
        try:
            data, files, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 3)
            session = _Session(connection, self._spawn(json.loads(data), files))
        except (OSError, ValueError):
            connection.close()
            return
        finally:
            for file in files:
                os.close(file)
        self._sessions |= {connection.fileno(): session, session.process: session}
        self._selector.register(connection, selectors.EVENT_READ, self._on_hang_up)
        self._selector.register(session.process, selectors.EVENT_READ, self._on_exit)

    def _on_hang_up(self, descriptor: int) -> None:
        self._sessions[descriptor].kill()

    def _on_exit(self, descriptor: int) -> None:
        session = self._sessions[descriptor]
        self._selector.unregister(session.connection)
        self._selector.unregister(session.process)
        self._end(session)

    def _end(self, session: _Session) -> None:
        del self._sessions[session.connection.fileno()], self._sessions[session.process]
        session.answer()

    def _spawn(self, request: Mapping[str, Any], files: list[int]) -> int:
        child = os.fork()
        if child:
            return child
        try:
            self._enter()
            _become(request, {**self._env, **request["env"]}, files)
        except BaseException as error:  # noqa: BLE001  # a fork must never return into its parent's code
            os.write(2, f"{error}\n".encode())
        os._exit(127)

    def _enter(self) -> None:
        linux.die_with_parent(signal.SIGKILL)
        self._cgroups.join()
        if self._task.isolation == "none":
            return
        # The process namespace needs no joining: it is that of all later children of the agent.
        network = 0 if self._task.workload.network else linux.CLONE_NEWNET
        linux.join(self._init, _NAMESPACES | network)
        linux.drop_privileges()


class _Session:
    """One further process and the connection that asked for it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.connection = connection
        self.process = os.pidfd_open(pid)
        """A descriptor that is readable once the process has ended."""
        self._pid = pid

    def kill(self) -> None:
        for process in (-self._pid, self._pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def answer(self) -> None:
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):
            self.connection.send(json.dumps({"exit_code": code if code >= 0 else 128 - code}).encode())
        self.connection.close()
        os.close(self.process)


def _become(request: Mapping[str, Any], env: Mapping[str, str], files: list[int]) -> NoReturn:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    for standard, file in enumerate(files):
        os.dup2(file, standard)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request.get("cwd") or env.get("HOME", "/"))
    argv = request["argv"]
    os.execvpe(argv[0], argv, dict(env))  # noqa: S606  # running the caller's command is the purpose
