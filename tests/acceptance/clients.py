"""Unmodified clients in environments of their own, as processes that assert for themselves."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"


def program(environment: str, name: str) -> str:
    """A program of a client's environment.

    Raises:
        AssertionError: the environment is not there, which is a failure and no reason to leave a test out.
    """
    path = ROOT / f".venv-{environment}" / "bin" / name
    assert path.exists(), f"{path} is missing; make it with: scripts/setup {environment}"
    return str(path)


@dataclass(frozen=True, slots=True)
class Client:
    """A client process under way, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    def check(self, timeout_s: float) -> None:
        """Waits for a good end; shows what it printed after any other."""
        deadline = time.monotonic() + timeout_s
        try:
            status = self.process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "killed after a timeout"  # type: ignore[assignment]  # for the message
        assert status == 0, f"{self.name}: {status}\n{self.output.read_text()[-8000:]}"


def start(command: Sequence[str], variables: Mapping[str, str], folder: Path, name: str) -> Client:
    """Starts a client with the environment that `clary env` tells and nothing else that AWS clients look at."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CLARY_", "SAGEMAKER_"))}
    home = folder / name
    home.mkdir(parents=True)
    output = home / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**kept, **variables, "HOME": str(home), "PYTHONUNBUFFERED": "1"},
            cwd=SCRIPTS,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return Client(name, process, output)
