"""A real server for tests: `clary up` in a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from configparser import ConfigParser
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from pathlib import Path

REGION = "us-east-1"
START_TIMEOUT_S = 30.0


def free_port() -> int:
    """A port whose neighbour (for the TLS tunnel) is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@dataclass
class ClaryServer:
    """A running platform and clients for it."""

    home: Path
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "clary.cli", "up", "--home", str(self.home), "--port", str(self.port)]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "CLARY_", "SAGEMAKER_")) and name != "PYTHONDONTWRITEBYTECODE"
        }
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "server.log").open("ab") as log:
            settings = {"CLARY_HOST": self.host, **self.settings}
            self.process = subprocess.Popen(command, env={**environment, **settings}, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, (self.home / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """As a power switch would: SIGKILL, no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client, as root unless other keys are given."""
        keys = {"aws_access_key_id": self.keys[0], "aws_secret_access_key": self.keys[1]}
        config = options.pop("config", None)
        retries = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
        return boto3.client(
            service,
            config=retries.merge(config) if config else retries,
            **{"endpoint_url": self.endpoint, "region_name": REGION, **keys, **options},
        )

    @property
    def keys(self) -> tuple[str, str]:
        """Root's access key and secret."""
        parser = ConfigParser()
        parser.read(self.home / "credentials")
        return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]

    @property
    def environment(self) -> dict[str, str]:
        """What `clary env` exports, for clients in other processes."""
        output = subprocess.run(
            [sys.executable, "-m", "clary.cli", "env", "--home", str(self.home)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        lines = (line.removeprefix("export ").partition("=") for line in output.splitlines())
        return {name: value.strip("'") for name, _, value in lines}

    def _answers(self) -> bool:
        """Whether it is this process that serves: another one may have taken the port."""
        assert self.process is not None
        try:
            state = json.loads((self.home / "server.json").read_text())
            with socket.create_connection((self.host, self.port), 1):
                return bool(state["pid"] == self.process.pid)
        except (OSError, ValueError):
            return False
