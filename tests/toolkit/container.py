"""A folder that stands for `/opt/ml`, and programs that run in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


def _installer_is_there() -> bool:
    beside = Path(sys.executable).with_name("uv").exists()
    return beside or shutil.which("uv") is not None or find_spec("pip") is not None


needs_installer = pytest.mark.skipif(not _installer_is_there(), reason="neither uv nor pip is installed")


class Container:
    """The file system and environment that a managed container would have."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "input" / "config").mkdir(parents=True)

    def configure(
        self,
        hyperparameters: Mapping[str, str],
        channels: Mapping[str, str] | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the JSON files of a job; `channels` maps names to content types."""
        inputs = {
            name: {"TrainingInputMode": "File", "RecordWrapperType": "None"} | ({"ContentType": kind} if kind else {})
            for name, kind in (channels or {}).items()
        }
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        self.write("input/config/hyperparameters.json", json.dumps(hyperparameters))
        self.write("input/config/inputdataconfig.json", json.dumps(inputs))
        self.write("input/config/resourceconfig.json", json.dumps(resources or hosts))

    def write(self, path: str, content: str | bytes) -> Path:
        """Write one file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def read(self, path: str) -> str:
        """Read one file below the root."""
        return (self.root / path).read_text()

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of the container."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return inherited | {"CLARY_ML_ROOT": str(self.root)} | dict(extra or {})

    def run(self, *module: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a Python module to its end."""
        command = [sys.executable, "-m", *module]
        return subprocess.run(command, env=self.environment(env), capture_output=True, text=True, check=False)


class Client:
    """Talks to a model server over its Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def request(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of one call; `content_type="x"` sends `Content-Type: x`."""
        connection = _UnixConnection(self.path)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response: HTTPResponse = connection.getresponse()
        answer = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        connection.close()
        return answer

    def invoke(self, body: bytes | str, content_type: str = "text/csv", accept: str = "*/*") -> tuple[int, bytes]:
        """Status and body of one prediction."""
        status, _, answer = self.request("POST", "/invocations", body, content_type=content_type, accept=accept)
        return status, answer


class Server:
    """A model server process."""

    def __init__(self, container: Container, *module: str, env: Mapping[str, str] | None = None) -> None:
        path = container.root / "server.sock"
        self.client = Client(path)
        variables = container.environment({"CLARY_SERVE_SOCKET": str(path)} | dict(env or {}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._wait(path)

    def _wait(self, path: Path, timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not _listens(path):
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not listen")
            time.sleep(0.02)

    def stop(self) -> tuple[int, str]:
        """End the server as the platform does; answers exit status and log."""
        self.process.send_signal(signal.SIGTERM)
        log, _ = self.process.communicate(timeout=20)
        return self.process.returncode, log


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))
