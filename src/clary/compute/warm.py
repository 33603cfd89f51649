"""The warm interpreter from which Python workloads are forked in milliseconds."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import zygote

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = ("numpy", "scipy", "joblib", "pandas", "sklearn.ensemble", "sklearn.pipeline", "xgboost")
IDLE_S = 600.0
"""Without work for this long its memory is given back; the next workload starts cold and calls it up again."""

_ANSWER_S = 2.0


class WarmInterpreter:
    """A process with libraries imported; it ends with this one, the agents forked from it do not."""

    def __init__(self, log: Path, modules: Sequence[str] = MODULES, idle_s: float = IDLE_S) -> None:
        self._log = log
        self._modules = modules
        self._idle_s = idle_s
        self._rest: threading.Timer | None = None
        self._lock = threading.Lock()
        self._ready = False
        self._refused = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The interpreter's process; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin to import; returns at once."""
        with self._lock:
            if self._channel is None:
                self._launch()
            self._rest_later()

    def fork(self, folder: Path) -> bool:
        """Fork an agent for the bundle `folder`; False when a cold start is needed."""
        with self._lock:
            if self._channel is None:
                self._launch()
            self._rest_later()
            return self._channel is not None and self._is_ready() and self._ask(self._channel, folder)

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the libraries are imported."""
        channel = self._channel
        if channel is not None and not self._ready:
            # Without the lock, so that workloads start cold meanwhile.
            select.select([channel], [], [], timeout_s)
        with self._lock:
            return self._is_ready()

    def close(self) -> None:
        """End the interpreter."""
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            self._discard()

    def _rest_later(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = threading.Timer(self._idle_s, self.close)
        self._rest.daemon = True
        self._rest.start()

    def _is_ready(self) -> bool:
        if self._channel is None or self._ready:
            return self._ready
        message = _receive(self._channel, 0)
        self._ready = message == zygote.READY
        if message == b"":
            # It ended before it was ready, and would do so again.
            self._discard()
            self._refused = True
        return self._ready

    def _ask(self, channel: socket.socket, folder: Path) -> bool:
        try:
            channel.send(os.fsencode(folder))
            forked = _receive(channel, _ANSWER_S) == zygote.FORKED
        except OSError:
            forked = False
        if not forked:
            self._discard()
        return forked

    def _launch(self) -> None:
        if self._refused:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        source = str(Path(zygote.__file__).parents[2])
        code = f"import sys; sys.path.append({source!r}); from clary.agent.zygote import main; main()"
        with theirs, self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and code
                [sys.executable, "-c", code, str(theirs.fileno()), *self._modules],
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._channel = ours

    def _discard(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            # Agents are on their own by now, so this ends nothing but the interpreter.
            self._process.kill()
            self._process.wait()
            self._process = None
        self._ready = False


def _receive(channel: socket.socket, timeout_s: float) -> bytes | None:
    """The next message, nothing at the end, None while there is neither."""
    if not select.select([channel], [], [], timeout_s)[0]:
        return None
    return channel.recv(64)


def _environment() -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        # Otherwise OpenBLAS starts its threads when it is loaded, and none may exist at a fork.
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # The same for the allocator of pyarrow, which pandas imports.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
