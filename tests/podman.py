"""A podman of the tests' own: its socket, its storage and its settings lie in one folder."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent.engine_api import Engine
from clary.agent.engine_container import BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 20.0
# Limits that nobody may raise here, a runtime that takes control groups of version 1, and no systemd.
SETTINGS = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
[network]
network_config_dir = "{folder}/networks"
"""


@dataclass
class Podman:
    folder: Path
    service: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.folder / "podman.sock")

    @property
    def engine(self) -> Engine:
        return Engine(self.socket)

    def command(self, *arguments: str) -> list[str]:
        return ["podman", "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run"), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf"), "TMPDIR": str(self.folder)}

    def containers(self) -> list[str]:
        """The ids of all containers of workloads."""
        return list(self.engine.labels(BUNDLE))

    def start(self) -> None:
        """Begin the service."""
        Path(self.socket).unlink(missing_ok=True)
        command = self.command("system", "service", "-t", "0", f"unix://{self.socket}")
        with (self.folder / "service.log").open("ab") as log:
            # Monitors of containers leave a file where they begin when memory is short.
            self.service = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(self.engine):
            assert self.service.poll() is None, (self.folder / "service.log").read_text()
            assert time.monotonic() < deadline, "podman does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """End the service; containers go on."""
        assert self.service is not None
        self.service.kill()
        self.service.wait()


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """A podman with its service; all that it keeps is taken away again."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    (folder / "containers.conf").write_text(SETTINGS.format(files=files, folder=folder))
    found = Podman(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        # It knows what it has mounted.
        for arguments in (("rm", "-a", "-f", "-t", "0"), ("network", "prune", "-f"), ("system", "reset", "-f")):
            subprocess.run(found.command(*arguments), env=found.environment, check=False, capture_output=True)


def refusal() -> str:
    """Why no podman can be had here; empty when it can."""
    missing = [name for name in ("podman", "runc") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    return "" if os.geteuid() == 0 else "podman has no limits without root on every machine"


def _answers(engine: Engine) -> bool:
    try:
        engine.describe()
    except OSError:
        return False
    return True
