"""A workload in the words of container engines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.agent import engine_network, init, sandbox
from clary.agent.workload import ML_ROOT, RUN_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.agent.workload import Task, Workload

WORKLOAD = "clary.workload"
"""Label of a container with the id of its workload."""
BUNDLE = "clary.bundle"
"""Label of a container with the state folder of its workload."""

_LINUX = sys.platform == "linux"


def specification(task: Task, machine: Mapping[str, Any]) -> dict[str, Any]:
    """What the container of a task is made of; `machine` is what its engine tells of where it runs.

    Raises:
        OSError: an engine cannot give what the workload needs.
    """
    workload = task.workload
    assert workload.container is not None  # noqa: S101  # the caller asked
    if len(workload.hosts) > 1 and not (workload.network and _LINUX):
        raise OSError("hosts that share a network of their own need sandboxes, not containers of an engine")
    if workload.container.port and not workload.network:
        raise OSError("a model server without a network needs a sandbox, not a container of an engine")
    return {
        "Image": workload.container.image,
        "Entrypoint": list(workload.command),
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in init.environment(task).items()],
        "User": workload.container.user,
        "WorkingDir": workload.cwd,
        "Hostname": workload.hostname,
        "Labels": {WORKLOAD: workload.id, BUNDLE: str(workload.bundle)},
        "AttachStdout": True,
        "AttachStderr": True,
        "ExposedPorts": {port: {} for port in _ports(workload)},
        "HostConfig": {
            "NetworkMode": _network(workload),
            "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in _ports(workload)},
            "ExtraHosts": [f"{name}:{address}" for name, address in workload.hosts.items()],
            "Mounts": list(_mounts(workload)),
            # What it prints is kept by its agent.
            "LogConfig": {"Type": "none"},
            "SecurityOpt": ["no-new-privileges", "label=disable"],
            "OomScoreAdj": 500,
            # A first process that passes signals on: one alone ignores those that it does not handle.
            "Init": bool(machine.get("InitBinary")),
            **_limits(workload, machine),
        },
    }


def handing_over(workload: Workload, machine: Mapping[str, Any]) -> dict[str, Any]:
    """A container that gives all that others have made in the folders of a workload to who runs this platform."""
    assert workload.container is not None  # noqa: S101  # the caller asked
    # Inside of a rootless engine that is root.
    rootless = machine.get("Rootless") or "name=rootless" in machine.get("SecurityOptions", ())
    owner = "0:0" if rootless else f"{os.geteuid()}:{os.getegid()}"
    mounts = [mount for mount in _mounts(workload) if not mount["ReadOnly"]]
    return {
        "Image": workload.container.image,
        "Entrypoint": ["chown", "-R", owner, *(mount["Target"] for mount in mounts)],
        "Cmd": [],
        "User": "0",
        "WorkingDir": "/",
        "Labels": {WORKLOAD: workload.id, BUNDLE: str(workload.bundle)},
        "HostConfig": {"NetworkMode": "none", "Mounts": mounts, "SecurityOpt": ["label=disable"]},
    }


def is_ours(workload: Workload) -> bool:
    """Whether all in the folders of a workload belongs to who runs this platform."""
    user = os.geteuid()
    return all(
        entry.stat(follow_symlinks=False).st_uid == user
        for path, _, _ in os.walk(workload.bundle / "ml")
        for entry in os.scandir(path)
    )


def let_write(workload: Workload) -> None:
    """Let the user of an image, whose number is not known here, write where results are expected."""
    outputs = [workload.bundle / "ml" / Path(path).relative_to(ML_ROOT) for path in init.OUTPUTS]
    own = [bind.source for bind in workload.binds if bind.writable and bind.source.is_relative_to(workload.bundle)]
    for folder in (*outputs, *own):
        for path, _, _ in os.walk(folder):
            Path(path).chmod(0o777)


def _ports(workload: Workload) -> list[str]:
    port = workload.container.port if workload.container else 0
    return [f"{port}/tcp"] if port else []


def _network(workload: Workload) -> str:
    if not workload.network:
        return "none"
    if _ports(workload):
        return engine_network.NAME
    return "host" if _LINUX else "bridge"


def _mounts(workload: Workload) -> Iterator[dict[str, Any]]:
    shown = (bind for bind in sandbox.contents(workload.bundle) if bind.target != RUN_ROOT)
    for bind in (*shown, *workload.binds):
        source = str(bind.source.resolve())
        yield {"Type": "bind", "Source": source, "Target": bind.target, "ReadOnly": not bind.writable}


def _limits(workload: Workload, machine: Mapping[str, Any]) -> dict[str, int]:
    """The size of the instance, as far as the engine has that much and can limit it."""
    memory = min(workload.memory_bytes, machine["MemTotal"])
    wanted = (
        ("MemoryLimit", "Memory", memory),
        ("SwapLimit", "MemorySwap", memory),
        ("CpuCfsQuota", "NanoCpus", int(min(workload.cpus, machine["NCPU"]) * 1_000_000_000)),
        ("PidsLimit", "PidsLimit", workload.pids),
    )
    return {"ShmSize": memory, **{name: value for means, name, value in wanted if machine.get(means)}}
