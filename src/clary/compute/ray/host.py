"""The host of one workload on a node of the cluster: an actor of Ray beside the ordinary agent."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from clary.agent import bundle
from clary.agent.workload import SERVE_SOCKET, Bind, Task, Workload
from clary.compute.probe import probe
from clary.compute.process import ProcessBackend
from clary.compute.ray import wire
from clary.compute.ray.tether import tie
from clary.instance_types import GIB, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEASE_S = 12.0
"""A node that for so long has heard neither of the platform nor of the head of its cluster is cut off."""

FORGOTTEN_S = 86_400.0
"""For so long a host keeps what nobody has fetched."""

CHECKPOINTS = "ml/checkpoints"
"""What is brought to the platform while the workload runs."""

SILENT_S = 60.0
"""Who says nothing for so long is hung up on."""

_LOOK_S = 0.1
_REACH_S = 5.0
_HEALTH = "/_clary/health"
_CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_ENDPOINT = "AWS_ENDPOINT_URL"
_LOG_BYTES = 4 << 20
_CONFIGS = ("ml/input/config/resourceconfig.json", "ml/config/resourceconfig.json")
_SIOCGIFADDR = 0x8915


class Host:
    """Takes the bundle of one workload in, has it run, and tells what becomes of it.

    When this process ends, in whatever way, the workload and its bundle on this node end too.

    Args:
        name: whose host it is.
        secret: what every question has to bear.
        ip: the address of the node.
        owner: tells platforms apart that share the cluster.
    """

    def __init__(self, name: str, secret: str, ip: str, owner: str) -> None:
        self._ip = ip
        self._home = Path.home() / ".clary" / "nodes"
        self._kept = self._home / "kept" / owner
        self.folder = self._home / hashlib.sha256(f"{name}\0{secret}".encode()).hexdigest()[:16]
        self._secret = secret
        bundle.remove(self.folder)
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700)
        self._tie = tie(self.folder)
        self._backend = ProcessBackend(self.folder / "backend", probe(folder=self.folder / "probe"), warm=False)
        self._changed = threading.Event()
        self._backend.on_change(lambda _: self._changed.set())
        self._handle: Mapping[str, Any] | None = None
        self._workload: Workload | None = None
        self._arrived: dict[str, list[int]] = {}
        self._sent: dict[str, list[int]] = {}
        self._beginning = threading.Lock()
        self._heard = time.monotonic()
        self._server = _Server((self._ip, 0), self)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def address(self) -> tuple[str, int]:
        """Where it listens for questions."""
        return self._ip, self._server.server_address[1]

    def is_wanted(self, head: str) -> bool:
        """Whether the workload may go on; `head` is where that of the cluster listens.

        On a node that is cut off it may not, as the platform has it run elsewhere then.
        """
        if time.monotonic() - self._heard <= LEASE_S:
            return True
        return _reaches(head) and not self._is_forgotten()

    def close(self) -> None:
        """End the workload, and listen no longer."""
        self._tie.close()
        self._server.shutdown()
        self._server.server_close()
        self._backend.close()

    def answer(self, stream: IO[bytes], connection: socket.socket) -> None:
        """Answer the question that comes through a connection."""
        question = wire.hear(stream)
        if not hmac.compare_digest(str(question.get("secret")).encode(), self._secret.encode()):
            return
        self._heard = time.monotonic()
        answers: dict[str, Callable[..., None]] = {
            "begin": self._begin,
            "follow": self._follow,
            "checkpoints": self._checkpoints,
            "results": self._results,
            "serve": self._serve,
        }
        try:
            answers[question["do"]](question, stream, connection)
        except wire.Refused as error:
            wire.say(stream, {"refused": str(error)})
        self._heard = time.monotonic()

    # Questions

    def _begin(self, question: dict[str, Any], stream: IO[bytes], _: socket.socket) -> None:
        with self._beginning:
            if self._handle is None:
                wire.receive_files(stream, self.folder)
                self._workload = self._adapt(Task.from_json(question["task"]).workload, question)
                _name_interface(self.folder, self._ip)
                self._arrived = self._marks("ml")
                self._sent = dict(self._arrived)
                self._handle = self._backend.start(self._workload)
        wire.say(stream, {})

    def _follow(self, question: dict[str, Any], stream: IO[bytes], _: socket.socket) -> None:
        """Tell of the next change, or that there was none."""
        if self._handle is None:
            wire.say(stream, {"begun": False})
            return
        if question["grace_s"] is not None:
            self._backend.stop(self._handle, question["grace_s"])
        log = self.folder / bundle.LOG
        until = time.monotonic() + question["wait_s"]
        seen = self._backend.poll(self._handle)
        while seen.phase == question["phase"] and _size(log) <= question["log"] and time.monotonic() < until:
            self._changed.wait(_LOOK_S)
            self._changed.clear()
            seen = self._backend.poll(self._handle)
        usage = self._backend.usage(self._handle)
        lines = _read(log, question["log"])
        told = {"begun": True, "seen": wire.to_json(seen), "usage": asdict(usage) if usage else None}
        wire.say(stream, told | {"bytes": len(lines)})
        stream.write(lines)

    def _checkpoints(self, question: dict[str, Any], stream: IO[bytes], _: socket.socket) -> None:
        """Send the checkpoints that have changed and are not being written at this moment."""
        if question["anew"]:
            self._sent = dict(self._arrived)
        settled = time.time_ns() - 10**9
        marks = self._marks(CHECKPOINTS)
        names = [name for name, mark in marks.items() if self._sent.get(name) != mark and mark[0] < settled]
        wire.say(stream, {})
        wire.send_files(stream, self.folder, (name for name in names if not (self.folder / name).is_symlink()))
        self._sent.update({name: marks[name] for name in names})

    def _results(self, _: dict[str, Any], stream: IO[bytes], __: socket.socket) -> None:
        """Send all that was not there when the workload began, or is different."""
        assert self._workload is not None  # noqa: S101  # it has begun
        marks = self._marks("ml")
        names = [name for name in wire.names_below(self.folder, "ml") if self._arrived.get(name) != marks.get(name, 0)]
        packed = [each.target for each in self._workload.archives if (self.folder / each.target).exists()]
        wire.say(stream, {})
        wire.send_files(stream, self.folder, [*names, *packed])

    def _serve(self, _: dict[str, Any], stream: IO[bytes], connection: socket.socket) -> None:
        """Carry a connection to the model server."""
        # A model may take its time, and a kept connection may wait for the next request.
        connection.settimeout(None)
        inside = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with inside, suppress(OSError):
            with bundle.address(self.folder / "run" / SERVE_SOCKET) as address:
                inside.connect(address)
            back = threading.Thread(target=_pump, args=(inside.makefile("rb", 0), connection), daemon=True)
            back.start()
            _pump(stream, inside)
            back.join()

    # Parts

    def _adapt(self, workload: Workload, question: dict[str, Any]) -> Workload:
        """The workload as it can run here.

        Raises:
            Refused: this node cannot run it.
        """
        env = dict(workload.env)
        env["PATH"] = env.get("PATH", "").replace(question["python"], str(Path(sys.executable).parent))
        if _ENDPOINT in env:
            _try(env[_ENDPOINT], self._ip)
        if _CREDENTIALS in env:
            env[_CREDENTIALS] = _carry_credentials(env[_CREDENTIALS])
        cpus, memory_bytes, gpus = question["size"]
        if gpus:
            env["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return replace(
            workload,
            cpus=cpus,
            memory_bytes=memory_bytes,
            notes=(*_clamped(workload, cpus, memory_bytes, gpus), *workload.notes),
            bundle=self.folder,
            env=env,
            hosts=question["hosts"] or workload.hosts,
            binds=tuple(self._bind(bind, workload.bundle) for bind in workload.binds),
            warm=False,
        )

    def _bind(self, bind: Bind, platform_bundle: Path) -> Bind:
        """A folder of the bundle, or in the place of a cache of the platform's machine one of this node."""
        if bind.source.is_relative_to(platform_bundle):
            return replace(bind, source=self.folder / bind.source.relative_to(platform_bundle))
        own = self._kept / bind.source.name
        own.mkdir(parents=True, exist_ok=True)
        return replace(bind, source=own)

    def _marks(self, folder: str) -> dict[str, list[int]]:
        """Size and time of the files and links below a folder; of folders nothing that changes."""
        marks = {}
        for name in wire.names_below(self.folder, folder):
            with suppress(OSError):
                status = (self.folder / name).lstat()
                is_folder = (self.folder / name).is_dir()
                marks[name] = [0, 0] if is_folder else [status.st_mtime_ns, status.st_size]
        return marks

    def _is_forgotten(self) -> bool:
        """Whether nobody has asked for long about a workload that does not run: the platform is no more."""
        if time.monotonic() - self._heard < FORGOTTEN_S:
            return False
        return self._handle is None or self._backend.poll(self._handle).phase in {"exited", "gone"}


class _Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], host: Host) -> None:
        super().__init__(address, partial(_Handler, host))


class _Handler(StreamRequestHandler):
    timeout = SILENT_S

    def __init__(self, host: Host, *args: Any) -> None:
        self._host = host
        super().__init__(*args)

    def handle(self) -> None:
        """Answer one question; who has hung up needs no answer."""
        with suppress(OSError):
            stream = self.connection.makefile("rwb")
            with suppress(ValueError):
                self._host.answer(cast("IO[bytes]", stream), self.connection)
            stream.close()


class _Relay(ThreadingTCPServer):
    daemon_threads = True


def _carry_credentials(uri: str) -> str:
    """The same page at an address of this node, as AWS's clients take no other ones over plain HTTP."""
    url = urlsplit(uri)
    outside = (url.hostname or "", url.port or 80)

    class Carry(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection(outside, _REACH_S) as there:
                back = threading.Thread(target=_pump, args=(there.makefile("rb", 0), self.connection), daemon=True)
                back.start()
                _pump(self.rfile, there)
                back.join()

    relay = _Relay(("127.0.0.1", 0), Carry)
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{relay.server_address[1]}{url.path}"


def _pump(source: Any, sink: socket.socket) -> None:
    with suppress(OSError):
        read: Iterator[bytes] = iter(partial(getattr(source, "read1", source.read), 1 << 16), b"")
        for data in read:
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _clamped(workload: Workload, cpus: float, memory_bytes: int, gpus: float) -> tuple[str, ...]:
    found = lookup(workload.instance_type)
    if found is None or (cpus, memory_bytes, gpus) == (found.vcpus, found.memory_bytes, found.gpus):
        return ()
    return (
        f"{workload.instance_type} has {found.vcpus} vCPUs, {found.memory_bytes / GIB:.4g} GiB and {found.gpus} GPUs; "
        f"no node of the cluster has so much, and the job has {cpus:g}, {memory_bytes / GIB:.4g} GiB and {gpus:g}.",
    )


def _try(endpoint: str, ip: str) -> None:
    """Make sure that workloads of this node can reach the platform."""
    try:
        with urllib.request.urlopen(f"{endpoint}{_HEALTH}", timeout=_REACH_S) as answer:  # noqa: S310  # our own
            answer.read()
    except OSError as error:
        raise wire.Refused(
            f"the node {ip} does not reach the platform at {endpoint} ({error}); set CLARY_HOST to an address of the "
            "platform's machine that all nodes of the cluster reach"
        ) from error


def _reaches(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 2).close()
    except OSError:
        return False
    return True


def _name_interface(folder: Path, ip: str) -> None:
    """Tell programs of several hosts the device by which this node reaches the others."""
    name = _interface(ip)
    for path in (folder / config for config in _CONFIGS):
        if name and path.exists():
            path.write_text(json.dumps(json.loads(path.read_text()) | {"network_interface_name": name}))


def _interface(ip: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe_socket:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(probe_socket, _SIOCGIFADDR, request)
                if socket.inet_ntoa(answer[20:24]) == ip:
                    return name
    return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read(path: Path, offset: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_LOG_BYTES)
