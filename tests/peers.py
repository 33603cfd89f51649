"""A second S3 server for tests: `rclone serve s3` on a folder."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session

from tests.server import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

START_TIMEOUT_S = 20.0
KEY, SECRET = "peer", "secret-of-peer"


def rclone() -> str | None:
    """The program: of the environment of clients beside this one, or of the machine."""
    beside = Path(__file__).parents[1] / ".venv-clients" / "bin" / "rclone"
    return str(beside) if beside.exists() else shutil.which("rclone")


@dataclass
class RcloneServer:
    """A running server and clients for it; its buckets are the folders below `folder`."""

    program: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address(self, place: str) -> str:
        """What the setting `objects` takes."""
        return f"s3://{place}?endpoint={self.endpoint}&region=eu-west-1&access_key_id={KEY}&secret_access_key={SECRET}"

    def start(self, *options: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command: Sequence[str] = [
            self.program, "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{self.port}",
            "--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off", *options, str(self.folder),
        ]  # fmt: skip
        with (self.folder.parent / "rclone.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, (self.folder.parent / "rclone.log").read_text()
            assert time.monotonic() < deadline, "rclone does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(self) -> Any:
        return botocore.session.Session().create_client(
            "s3", "eu-west-1", endpoint_url=self.endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False
