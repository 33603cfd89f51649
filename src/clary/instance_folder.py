"""Where the disk and the console of an EC2 instance lie on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEPT_BYTES = 1 << 20
"""How much of the console is kept from start to start."""


@dataclass(frozen=True, slots=True)
class InstanceFolder:
    """Everything of one instance; it goes when the instance is terminated."""

    path: Path

    @property
    def root(self) -> Path:
        """The disk: what the instance writes to its system."""
        return self.path / "root"

    @property
    def boot(self) -> Path:
        """The state of the present start; gone while the instance is stopped."""
        return self.path / "boot"

    @property
    def console(self) -> Path:
        """What earlier starts printed."""
        return self.path / "console"

    def say(self, line: str) -> None:
        """Writes a line of the platform's own to the console."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.console.open("a") as file:
            file.write(f"{line}\n")

    def keep_console(self) -> None:
        """Moves what the present start printed to what is kept."""
        log = self.boot / "log"
        if log.exists():
            said = self.console_end(KEPT_BYTES)
            draft = self.console.with_name(".console")
            draft.write_bytes(said)
            log.unlink()
            draft.replace(self.console)

    def console_end(self, size: int) -> bytes:
        """The last bytes of everything printed."""
        present = _STAMP.sub(b"", _end(self.boot / "log", 2 * size))
        return (_end(self.console, size) + present)[-size:]


def of(home: Path, identifier: str) -> InstanceFolder:
    """The folder of the instance of this id."""
    return InstanceFolder(home / "instances" / identifier)


_STAMP = re.compile(rb"^\d{13} ", re.MULTILINE)
"""The time before each line of a workload's output, which consoles do not tell."""


def _end(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read()
    except FileNotFoundError:
        return b""
