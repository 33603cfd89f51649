"""Further processes inside a running workload, seen from the platform."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import bundle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.compute.base import Handle

_LOST = 255
"""What SSH answers for a command whose end nobody saw."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command inside a workload ended."""

    exit_code: int
    output: bytes
    """Standard output and errors together."""


class Session:
    """One process inside a workload on files of the caller's, a terminal for instance; closing it ends the process.

    Raises:
        ConnectionError: the workload does not run.
    """

    def __init__(
        self,
        handle: Handle,
        argv: Sequence[str],
        files: Sequence[int],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = {"argv": list(argv), "env": dict(env or {}), "cwd": cwd}
        try:
            with bundle.address(Path(handle["bundle"]) / bundle.CONTROL) as address:
                self._connection.connect(address)
            socket.send_fds(self._connection, [json.dumps(request).encode()], list(files))
        except OSError as error:
            self._connection.close()
            raise ConnectionError(f"{handle['id']} takes no commands: it does not run") from error

    def fileno(self) -> int:
        """A descriptor that becomes readable at the end of the process, for event loops."""
        return self._connection.fileno()

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit code of the process, waited for.

        Raises:
            TimeoutError: the process still runs.
        """
        self._connection.settimeout(timeout_s)
        answer = self._connection.recv(4096)
        return int(json.loads(answer)["exit_code"]) if answer else _LOST

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def run(handle: Handle, argv: Sequence[str], *, timeout_s: float | None = None) -> Completed:
    """Run a command inside a workload to its end.

    Raises:
        ConnectionError: the workload does not run.
        TimeoutError: the command took too long and was ended.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    with tempfile.TemporaryFile() as output:
        session = Session(handle, argv, [null, output.fileno(), output.fileno()])
        os.close(null)
        try:
            exit_code = session.wait(timeout_s)
        finally:
            session.close()
        output.seek(0)
        return Completed(exit_code, output.read())
