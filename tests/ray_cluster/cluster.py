"""A Ray cluster for tests: each node in a network namespace of its own, joined like machines by a switch."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench

TOKEN = "0123456789abcdef0123456789abcdef"
PLATFORM = "10.77.0.254"
HEAD = "10.77.0.1"
START_S = 60.0
CONNECT_S = 150.0
"""A server of Ray Client fails now and then to start a process for a new client, which is noticed after 40 s."""
AUTHENTICATION = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
# As docs/guide/ray.md recommends, so that Ray itself sees soon that a node is gone.
SETTINGS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass
class Node:
    """A machine of the cluster; its home keeps what workloads leave on it."""

    name: str
    address: str
    home: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    def join(self) -> None:
        """Plug the machine into the switch and start Ray on it."""
        _ip("netns", "add", self.name)
        _ip("link", "add", f"{self.name}-out", "type", "veth", "peer", "name", f"{self.name}-in")
        _ip("link", "set", f"{self.name}-out", "master", "switch", "up")
        _ip("link", "set", f"{self.name}-in", "netns", self.name)
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", f"{self.name}-in")
        _ip("-n", self.name, "link", "set", f"{self.name}-in", "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        self.home.mkdir(exist_ok=True)
        self._start()

    def cut_off(self) -> None:
        """Pull the plug of its network: everything on it goes on."""
        _ip("link", "set", f"{self.name}-out", "down")

    def leave(self) -> None:
        """Pull the plug of its power."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", f"{self.name}-out")
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)
        shutil.rmtree(self.home, ignore_errors=True)

    def processes(self) -> list[int]:
        """The processes that run on it."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(line) for line in listed.stdout.split()]

    def workloads(self) -> list[str]:
        """The command lines of what tends workloads on it; the workloads die with that."""
        found = []
        for pid in self.processes():
            with suppress(OSError):
                found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        return [command for command in found if str(self.folder) in command]

    @property
    def folder(self) -> Path:
        """Where the bundles of workloads are."""
        return self.home / ".clary" / "nodes"

    def _start(self) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={self.address}"]
        sizes = ["--memory=3000000000", "--object-store-memory=80000000"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHON"))}
        log = self.home / "ray.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command, *sizes, *self.options],
                env={**inherited, **AUTHENTICATION, **SETTINGS, "HOME": str(self.home)},
                stdout=output,
                stderr=output,
                cwd="/",
            )
        deadline = time.monotonic() + START_S
        while "Ray runtime started" not in log.read_text():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@dataclass
class RayCluster:
    """A head, on which nothing runs, and two nodes with two processors each."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ray", dir="/tmp")))
    nodes: dict[str, Node] = field(default_factory=dict)

    def start(self) -> None:
        """Build the network and start Ray everywhere."""
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "switch", "type", "bridge")
        _ip("addr", "add", f"{PLATFORM}/24", "dev", "switch")
        _ip("link", "set", "switch", "up")
        head = ("--head", "--num-cpus=0", "--port=6379", "--ray-client-server-port=10001", "--include-dashboard=false")
        self._add("head", HEAD, *head, f"--temp-dir={self.folder / 't'}")
        for number in (2, 3):
            self._add(f"node{number}", f"10.77.0.{number}", "--num-cpus=2", f"--address={HEAD}:6379")

    def node(self, address: str) -> Node:
        """The node of an address."""
        return self.nodes[address]

    def mend(self) -> None:
        """Start again the nodes that were cut off or switched off."""
        for node in self.nodes.values():
            state = subprocess.run(
                ["ip", "link", "show", f"{node.name}-out"], capture_output=True, text=True, check=False
            )
            if "state UP" not in state.stdout:
                node.leave()
                node.join()

    def stop(self) -> None:
        """End all processes of the nodes."""
        for node in reversed(self.nodes.values()):
            node.leave()
        _ip("link", "del", "switch")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _add(self, name: str, address: str, *options: str) -> None:
        node = Node(name, address, self.folder / name, options)
        self.nodes[address] = node
        node.join()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def told(bench: Workbench, name: str, group: str = "/aws/sagemaker/TrainingJobs") -> list[str]:
    """Every line of all hosts and attempts of a job so far."""
    try:
        streams = bench.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    except bench.logs.exceptions.ResourceNotFoundException:
        return []
    lines = []
    for stream in sorted(streams, key=lambda stream: stream["creationTime"]):
        where = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
        token: dict[str, str] = {}
        while True:
            page = bench.logs.get_log_events(**where, **token)
            lines += [event["message"] for event in page["events"]]
            if page["nextForwardToken"] == token.get("nextToken"):
                break
            token = {"nextToken": page["nextForwardToken"]}
    return lines
