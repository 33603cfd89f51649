"""A real PostgreSQL for tests, in a folder of its own, reached by a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

NOBODY = 65534
"""PostgreSQL refuses to run as root."""

START_TIMEOUT_S = 30.0


def programs() -> Path | None:
    """The folder of the newest PostgreSQL of this machine: on the path, or where Debian keeps it."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return Path(found).resolve().parent if found else (debian[-1] if debian else None)


@dataclass
class PostgresServer:
    """A server whose folder nobody else uses."""

    programs: Path
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://clary@/postgres?host={quote(str(self.folder))}"

    def schema(self, name: str) -> str:
        """The address of a database in the database, new and empty."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}&options={quote(f'-csearch_path={name}')}"

    def make(self) -> None:
        """Makes the files of the server."""
        self._own(self.folder)
        command = self._as_lesser(
            self.programs / "initdb",
            "-D",
            self.data,
            "-U",
            "clary",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self, *options: str) -> None:
        command = self._as_lesser(
            self.programs / "postgres", "-D", self.data, "-F", "-k", self.folder, "-c", "listen_addresses=", *options
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Ends it at once: connections break, nothing that was flushed is lost."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _own(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)

    def _as_lesser(self, *command: str | Path) -> list[str | Path]:
        lesser = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        return [*lesser, *command]
