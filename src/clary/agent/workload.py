"""What the agent is told: the workload, and what this machine allows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

ML_ROOT = "/opt/ml"
"""Where a workload finds its data, as in SageMaker's containers."""

RUN_ROOT = "/run/clary"
"""The folder that a workload shares with the platform, for sockets."""

SERVE_SOCKET = "serve.sock"
"""The socket in that folder to which a model server of an image is joined."""

PROXY = "proxy"
"""A forward to wherever a client asks to be connected, as HTTP proxies do for HTTPS (`CONNECT`)."""

Isolation = Literal["namespaces", "container", "none"]
"""`namespaces`: a sandbox of our own; `container`: one of a container engine; `none`: a plain process."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of this machine shown inside the sandbox."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder below the bundle that the agent packs into a `.tar.gz` after the end; an empty one gives no file."""

    source: str
    target: str
    """Name of the archive, in the bundle."""
    keep_empty: bool = False
    """Write an archive even of an empty or missing folder."""


@dataclass(frozen=True, slots=True)
class Forward:
    """An address inside a workload's own network that leads to a server outside."""

    address: str
    port: int
    target: str
    """`HOST:PORT`, the path of a Unix socket, or `PROXY`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A folder with data that were not copied; its files lie below `inputs` in the bundle."""

    target: str
    """Where it is inside."""
    name: str
    """What its folder is called below `inputs/trees` and in the catalogue."""
    linked: bool = False
    """Whether there are files in its tree."""
    served: bool = False
    """Whether there are files in the catalogue."""
    writable: bool = False
    """Whether the workload may change it for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe:
    """A stream of the catalogue, fed through `TARGET_0`, `TARGET_1` and so on, anew in every epoch."""

    target: str
    name: str
    """What the stream is called in the catalogue."""
    record_io: bool = False
    """Whether each record gets an envelope."""
    gunzip: bool = False
    seed: int | None = None
    """Shuffles the items of every epoch."""
    shard: int = 0
    """Which part of the items, as they come in an epoch, it is."""
    shards: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The system of an image, in which a workload runs rather than in that of the machine."""

    root: Path = Path()
    """Where it is unpacked, for a sandbox; what the workload changes there is thrown away."""
    engine: str = ""
    """Socket of the container engine that runs it instead."""
    image: str = ""
    """Its name in that engine."""
    user: str = ""
    """Name or number of a user, and of a group behind a colon; empty: root."""
    port: int = 0
    """Where the workload serves HTTP in a network of its own; `SERVE_SOCKET` in `bundle/run` leads there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One command with its limits, its view of the disk and what happens at its end."""

    id: str
    """Starting the same id in the same bundle again gives the running workload."""
    bundle: Path
    """State folder of this workload; `bundle/ml` becomes /opt/ml and `bundle/run` becomes /run/clary."""
    command: tuple[str, ...]
    """`python` as first word is the interpreter of the platform."""
    env: Mapping[str, str]
    """The whole environment, save defaults for PATH, HOME, LANG and the thread counts of numerical libraries."""
    cpus: float
    memory_bytes: int
    instance_type: str = ""
    """What `cpus` and `memory_bytes` come from, as far as the platform's machine has them."""
    pids: int = 2048
    cwd: str = ML_ROOT
    hostname: str = "algo-1"
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the hosts of its cluster by name, its own among them."""
    timeout_s: float | None = None
    grace_s: float = 120.0
    """Time between SIGTERM and SIGKILL after `timeout_s`."""
    network: bool = True
    """False leaves only a loopback device of its own."""
    network_of: Path | None = None
    """Bundle of the workload without network whose loopback device it shares instead."""
    forwards: tuple[Forward, ...] = ()
    """Servers of this machine that a workload without network may reach all the same."""
    binds: tuple[Bind, ...] = ()
    inputs: tuple[Input, ...] = ()
    """Only in a sandbox of a machine that can show them."""
    pipes: tuple[Pipe, ...] = ()
    notes: tuple[str, ...] = ()
    """Lines for its log, before its own."""
    archives: tuple[Archive, ...] = ()
    container: Container | None = None
    """None: the machine's own system, read-only."""
    changeable: tuple[str, ...] = ()
    """Those of the binds to which it may add, for itself alone."""
    warm: bool = False
    """May run inside a fork of the warm interpreter when it is a plain Python command."""
    root: Path | None = None
    """Folder that keeps the writable part of the system between starts, for instances; else it is thrown away."""
    log_bytes: int = 512 * 1024 * 1024
    """Output beyond this many bytes is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A workload together with the means that the platform found on this machine."""

    workload: Workload
    isolation: Isolation
    cgroups: Mapping[str, str] = field(default_factory=dict)
    """Folder for control groups by version 1 controller, or by the word `unified` for version 2."""
    readonly: tuple[str, ...] = ()
    """Folders outside the system's own that every workload may read: the Python installation and its packages."""
    changeable: tuple[str, ...] = ()
    """Those of them to which a workload may add, for itself alone: the environment into which scripts install."""
    notify: str = ""
    """Unix datagram socket that is told the workload's id when its phase changes."""

    def to_json(self) -> dict[str, Any]:
        """This task as plain JSON values."""
        return _plain(asdict(self))  # type: ignore[no-any-return]  # a dict stays a dict

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """The task that `to_json` wrote."""
        workload = dict(value["workload"])
        workload["bundle"] = Path(workload["bundle"])
        for name in ("root", "network_of"):
            workload[name] = Path(workload[name]) if workload[name] else None
        workload["command"] = tuple(workload["command"])
        workload["binds"] = tuple(Bind(Path(b["source"]), b["target"], b["writable"]) for b in workload["binds"])
        for name in ("notes", "changeable"):
            workload[name] = tuple(workload[name])
        workload["inputs"] = tuple(Input(**each) for each in workload["inputs"])
        workload["pipes"] = tuple(Pipe(**each) for each in workload["pipes"])
        workload["forwards"] = tuple(Forward(**forward) for forward in workload["forwards"])
        container = workload["container"]
        workload["container"] = Container(**{**container, "root": Path(container["root"])}) if container else None
        workload["archives"] = tuple(Archive(**archive) for archive in workload["archives"])
        folders = {name: tuple(value[name]) for name in ("readonly", "changeable")}
        return cls(**{**value, **folders, "workload": Workload(**workload)})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
