"""Starts the servers that are measured, each in an environment of its own, and ends them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil
from tests.server import ClaryServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.client import Address

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
START_TIMEOUT_S = 60.0


@contextmanager
def clary(home: Path | None = None, **settings: str) -> Iterator[ClaryServer]:
    """A platform with an empty home unless one is given; settings by the names of their variables."""
    with TemporaryDirectory(prefix="clary-bench-", ignore_cleanup_errors=True) as folder:
        server = ClaryServer(home or Path(folder) / "home", settings=settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def peer(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Address, int]]:
    """Another server from the environment of that name: its address and process id."""
    with program(name, [str(python(name)), *command], port, environment) as running:
        yield running


@contextmanager
def program(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Address, int]]:
    """A server that runs in an empty folder of its own: its address and process id."""
    path = f"{Path(command[0]).parent}:/usr/bin:/bin"
    with TemporaryDirectory(prefix=f"{name}-bench-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        log = stack.enter_context((Path(folder) / "log").open("wb"))
        variables = {"PATH": path, "HOME": folder, "OMP_NUM_THREADS": "1", **(environment or {})}
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            _wait(process, port, Path(folder) / "log")
            yield ("127.0.0.1", port), process.pid
        finally:
            _end(psutil.Process(process.pid))


def python(name: str) -> Path:
    """The interpreter of a peer's environment, which is made when it is not there; "" is Clary's own."""
    if not name:
        return Path(sys.executable)
    environment = ROOT / f".venv-bench-{name}"
    program = environment / "bin" / "python"
    requirements = PEERS / f"{name}.txt"
    stamp = environment / ".installed"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        uv = str(Path(sys.executable).with_name("uv"))
        print(f"Installing {requirements.relative_to(ROOT)} into {environment.name} ...", file=sys.stderr)
        subprocess.run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, environment], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(program)]
        subprocess.run([*install, "-r", str(requirements)], check=True)
        stamp.write_text(requirements.read_text())
    return program


def _end(process: psutil.Process) -> None:
    """Ends a server and whatever it has started, which not every one does by itself."""
    family = [process, *process.children(recursive=True)]
    process.terminate()
    _, left = psutil.wait_procs(family, 5)
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


__all__ = ["PEERS", "ROOT", "clary", "free_port", "peer", "program", "python"]
