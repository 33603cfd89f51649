"""Tries in forked children what this machine allows, and prints it as JSON."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import bundle, inputs, sandbox, supervisor
from clary.agent.catalogue import Writer
from clary.agent.cgroups import UNIFIED, Cgroups
from clary.agent.workload import Input, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONTROLLERS = ("memory", "cpu", "pids")
_KVM_GET_API_VERSION = 0xAE00
_KVM_CREATE_VM = 0xAE01


def main() -> None:
    """Print what `clary.compute.probe.Machine` holds; the first argument is a folder to try things in, or empty."""
    place = sys.argv[1] or None
    linux_system = sys.platform == "linux"
    refusal = _attempt(lambda: _enter_sandbox(network=True)) if linux_system else "needs Linux"
    found = {
        "isolation": "none" if refusal else "namespaces",
        "reason": refusal,
        "cgroups": _cgroups() if linux_system else {},
        "copies": refusal or _attempt(lambda: _show_inputs(place)),
        "network": not refusal and not _attempt(lambda: _enter_sandbox(network=False)),
        "root": os.geteuid() == 0,
        "kvm": not _attempt(_make_virtual_machine),
        "gpus": [] if _attempt(_start_cuda) else _gpu_devices(),
        "containers": [path for path in _container_sockets() if not _attempt(lambda path=path: _ping(path))],  # type: ignore[misc]
    }
    sys.stdout.write(json.dumps(found))


def _attempt(deed: Callable[[], object]) -> str:
    """Why `deed` fails in a child process; empty when it does not."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            deed()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
            os.write(writer, (str(error) or type(error).__name__).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read().decode()
    _, status = os.waitpid(child, 0)
    return answer or ("" if status == 0 else f"ended with status {status}")


def _enter_sandbox(*, network: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        supervisor.new_process_namespace()
        failure = _attempt(lambda: sandbox.enter(_smallest_view(Path(folder), network=network)))
    if failure:
        raise OSError(failure)


def _show_inputs(place: str | None) -> None:
    """Read and change a file that is linked and one that is served."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        shown = Input(target="/data", name="0", linked=True, served=True, writable=True)
        workload = Workload(id="", bundle=folder, command=(), env={}, cpus=1, memory_bytes=0, inputs=(shown,))
        tree = folder / bundle.INPUTS / "trees" / "0"
        tree.mkdir(parents=True)
        (tree / "linked").write_text("linked")
        writer = Writer(folder / bundle.INPUTS)
        writer.file("0/served", [writer.pack(b"served")], 0)
        writer.complete()
        server = inputs.start_server(workload)
        supervisor.new_process_namespace()
        failure = _attempt(lambda: _read_inputs(workload, server))
        if server is not None:
            server.close()
        bundle.remove(folder / bundle.SCRATCH)
    if failure:
        raise OSError(failure)


def _read_inputs(workload: Workload, server: socket.socket | None) -> None:
    base = workload.bundle / "base"
    base.mkdir()
    view = _smallest_view(base, network=True)
    sandbox.enter(replace(view, shown=inputs.Shown(workload.inputs, workload.bundle, server)))
    for name in ("linked", "served"):
        path = Path("/data", name)
        if path.read_text() != name:
            raise OSError("inputs read otherwise than they are")
        path.write_text("changed")


def _smallest_view(folder: Path, *, network: bool) -> sandbox.View:
    return sandbox.View(
        base=folder,
        hostname="probe",
        hosts={},
        binds=(),
        cgroups={},
        memory_bytes=1 << 20,
        network=network,
        layers=folder,
    )


def _cgroups() -> dict[str, str]:
    """The folder for new groups of each controller that can be limited."""
    found: dict[str, str] = {}
    for controllers, parent in _parents():
        wanted = {UNIFIED} if UNIFIED in controllers else controllers & set(_CONTROLLERS)
        for controller in wanted - found.keys():
            if not _attempt(lambda c=controller, p=parent: _join_group(c, p)):  # type: ignore[misc]
                found[controller] = str(parent)
            else:
                with suppress(OSError):
                    parent.rmdir()
    return found


def _parents() -> Iterator[tuple[set[str], Path]]:
    """Possible places: the root of a hierarchy first, because workloads outlive the platform's own group."""
    own = dict(_own_groups())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        point = Path(fields.split()[4])
        if kind.startswith("cgroup2 "):
            for folder in (point, point / own.get("", "")):
                yield {UNIFIED}, folder / "clary"
        elif kind.startswith("cgroup "):
            controllers = set(kind.split()[-1].split(","))
            for folder in (point, *(point / own[name] for name in controllers & own.keys())):
                yield controllers, folder / "clary"


def _own_groups() -> Iterator[tuple[str, str]]:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path.strip("/")


def _join_group(controller: str, parent: Path) -> None:
    parent.mkdir(exist_ok=True)
    if not (parent / "cgroup.procs").exists():
        raise OSError(f"{parent.parent} holds no control groups")
    if controller == UNIFIED:
        for folder in (parent.parent, parent):
            (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
    groups = Cgroups({controller: str(parent)}, f"probe-{os.getpid()}")
    try:
        groups.create(cpus=1, memory_bytes=1 << 30, pids=64)
        if controller == UNIFIED and not (groups.limits_memory and groups.limits_cpu):
            raise OSError("the controllers belong to version 1")
        failure = _attempt(groups.join)
    finally:
        groups.remove()
    if failure:
        raise OSError(failure)


def _make_virtual_machine() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    if " vmx" not in flags and " svm" not in flags:
        raise OSError("the processor offers no hardware virtualisation")
    device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    if fcntl.ioctl(device, _KVM_GET_API_VERSION, 0) != 12:
        raise OSError("unknown version of KVM")
    os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))


def _start_cuda() -> None:
    code = ctypes.CDLL("libcuda.so.1").cuInit(0)
    if code != 0:
        raise OSError(f"cuInit answers {code}")


def _gpu_devices() -> list[str]:
    return sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))


def _container_sockets() -> list[str]:
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    given = os.environ.get("DOCKER_HOST", "").removeprefix("unix://")
    usual = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    return [path for path in dict.fromkeys((given, *usual)) if path.startswith("/") and Path(path).exists()]


def _ping(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(path)
        client.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
        if b" 200 " not in client.recv(64):
            raise OSError("no answer to a ping")
