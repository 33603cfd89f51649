"""What travels between the platform and a node, and how a follower keeps a bundle; no Ray is needed."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from clary.agent import bundle, processes
from clary.agent.workload import Archive, Bind, Task, Workload
from clary.compute.base import Observation
from clary.compute.ray import follower, host, wire
from clary.compute.ray.cluster import Dead, Node, Size, Wish
from clary.compute.ray.follower import PLACE, ROOM, Follower
from clary.compute.ray.host import Host
from tests.acceptance.workbench import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clary.compute.ray.wire import Address

ID = "training-job/1/r/n/algo-1"
WAIT_S = 30.0
MIB = 1 << 20
SCRIPT = """
import os, sys
from pathlib import Path

rows = Path("/opt/ml/input/data/rows").read_text()
sys.stdout.write(rows)
Path("/opt/ml/model/result").write_text(rows.upper())
Path("/opt/ml/model/link").symlink_to("/etc/passwd")
Path("/tmp/kept").mkdir(exist_ok=True)
print(os.environ["PATH"].split(":")[0], flush=True)
"""


class Cluster:
    """A cluster of one node, which is this machine."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.dead: set[str] = set()

    def nodes(self) -> list[Node]:
        return [Node("127.0.0.1", Size(1.0, 512 * MIB, 0.0))]

    def place(self, wish: Wish) -> None:
        if wish.name not in self.hosts:
            self.hosts[wish.name] = Host(wish.name, wish.secret, "127.0.0.1", "owner")

    def find(self, name: str) -> Address | None:
        if name in self.dead or name not in self.hosts:
            raise Dead("it was switched off")
        return wire.Address(*self.hosts[name].address())

    def end(self, name: str, _group: str) -> None:
        self.die(name)

    def die(self, name: str) -> None:
        self.dead.add(name)
        self.hosts.pop(name).close()


@dataclass
class Platform:
    """The platform's side of one workload."""

    folder: Path
    cluster: Cluster = field(default_factory=Cluster)
    changed: threading.Event = field(default_factory=threading.Event)

    def prepare(self, *command: str, **options: object) -> None:
        self.folder.mkdir()
        for name in ("ml/model", "ml/input/data", "run"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "ml" / "input" / "data" / "rows").write_text("one\ntwo\n")
        values = {"env": {"PATH": ""}, "cpus": 1.0, "memory_bytes": 512 * MIB, **options}
        workload = Workload(id=ID, bundle=self.folder, command=command, **values)  # type: ignore[arg-type]
        bundle.write(self.folder / bundle.TASK, Task(workload=workload, isolation="namespaces").to_json())
        bundle.write(self.folder / PLACE, {"secret": "known to both"})

    def follow(self) -> Follower:
        return Follower(self.folder, self.cluster, lambda _: self.changed.set())  # type: ignore[arg-type]

    def seen(self) -> Observation:
        end = bundle.read(self.folder / bundle.EXIT) or bundle.read(self.folder / bundle.STATUS)
        return wire.from_json(end) if end else Observation(phase="starting", message=ROOM)

    def wait(self, phase: str) -> Observation:
        for _ in range(int(WAIT_S / 0.2)):
            self.changed.clear()
            seen = self.seen()
            if seen.phase == phase:
                return seen
            self.changed.wait(0.2)
        raise AssertionError(self.seen())

    def log(self) -> list[str]:
        return [line.partition(" ")[2] for line in (self.folder / "log").read_text().splitlines()]


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    (tmp_path / "node").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "node"))
    one = Platform(tmp_path / "bundle")
    yield one
    for name in list(one.cluster.hosts):
        one.cluster.die(name)


def test_a_workload_runs_as_if_it_were_here(platform: Platform, tmp_path: Path) -> None:
    cache = Bind(tmp_path / "cache", "/srv/cache", writable=True)
    platform.prepare("python", "-c", SCRIPT, archives=(Archive("ml/model", "model.tar.gz"),), binds=(cache,))
    platform.follow()
    seen = platform.wait("exited")
    assert (seen.exit_code, seen.reason, seen.message) == (0, "", "")
    assert platform.log()[:2] == ["one", "two"]
    assert (platform.folder / "ml" / "model" / "result").read_text() == "ONE\nTWO\n"
    assert (platform.folder / "ml" / "model" / "link").is_symlink()
    with tarfile.open(platform.folder / "model.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["link", "result"]
    assert (tmp_path / "node" / ".clary" / "nodes" / "kept" / "owner" / "cache").is_dir()
    assert not (tmp_path / "cache").exists()


def test_a_second_follower_goes_on_where_the_first_was_broken_off(platform: Platform) -> None:
    script = "import sys; print('begun', flush=True); sys.stdin.read(); import time; time.sleep(1); print('over')"
    platform.prepare("python", "-c", script)
    first = platform.follow()
    platform.wait("running")
    first.join()
    platform.follow()
    assert platform.wait("exited").exit_code == 0
    assert platform.log() == ["begun", "over"]


def test_a_wish_to_stop_reaches_the_node(platform: Platform) -> None:
    platform.prepare("python", "-c", "import time; time.sleep(600)")
    platform.follow()
    platform.wait("running")
    bundle.write(platform.folder / bundle.STOP, {"grace_s": 5.0})
    seen = platform.wait("exited")
    assert (seen.reason, seen.signal) == ("stopped", 15)


def test_the_death_of_a_host_ends_its_workload(platform: Platform) -> None:
    platform.prepare("python", "-c", "import time; time.sleep(600)")
    platform.follow()
    platform.wait("running")
    node = next(iter(platform.cluster.hosts.values())).folder
    until(lambda: processes.marked("CLARY_WORKLOAD", ID))
    platform.cluster.die(str(platform.folder))
    seen = platform.wait("exited")
    assert (seen.reason, seen.exit_code) == ("lost", None)
    until(lambda: not node.exists() and not processes.marked("CLARY_WORKLOAD", ID))


def test_what_lies_here_only_is_refused(platform: Platform, tmp_path: Path) -> None:
    platform.prepare("true", binds=(Bind(tmp_path, "/srv/data"),))
    platform.follow()
    seen = platform.wait("exited")
    assert seen.reason == "sandbox"
    assert str(tmp_path) in seen.message


def test_a_platform_that_is_not_reached_is_refused(platform: Platform) -> None:
    platform.prepare("true", env={"PATH": "", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    platform.follow()
    seen = platform.wait("exited")
    assert seen.reason == "sandbox"
    assert "set CLARY_HOST to an address" in seen.message


def test_a_wrong_secret_gets_no_answer(platform: Platform) -> None:
    platform.prepare("python", "-c", "import time; time.sleep(600)")
    platform.follow()
    platform.wait("running")
    address = platform.cluster.find(str(platform.folder))
    assert address is not None
    with pytest.raises(ConnectionError):
        wire.ask(address, {"secret": "guessed", "do": "results"}, 5)


def test_a_node_that_is_cut_off_stops_when_its_lease_is_over(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.cluster.place(_wish())
    here = platform.cluster.hosts["name"]
    listening = wire.Address(*here.address())
    assert here.is_wanted("127.0.0.1:9")
    monkeypatch.setattr(host, "LEASE_S", 0.0)
    assert not here.is_wanted("127.0.0.1:9")
    assert here.is_wanted(f"{listening.host}:{listening.port}")
    assert follower.LOST_S > 12.0 + 1.0 + 2.0, "a retry may begin only after the lease, a look and a failed connection"


def test_files_arrive_as_they_are(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "folder" / "empty").mkdir(parents=True)
    (here / "folder" / "file").write_bytes(b"content")
    (here / "folder" / "file").chmod(0o755)
    (here / "folder" / "again").hardlink_to(here / "folder" / "file")
    (here / "folder" / "link").symlink_to("file")
    os.mkfifo(here / "folder" / "pipe")
    stream = io.BytesIO()
    wire.send_files(stream, here, wire.names_below(here, "folder"))
    stream.seek(0)
    there.mkdir()
    wire.receive_files(stream, there)
    assert sorted(wire.names_below(there, ".")) == [
        "folder",
        *(f"folder/{name}" for name in ("again", "empty", "file", "link")),
    ]
    assert (there / "folder" / "again").read_bytes() == b"content"
    assert os.access(there / "folder" / "file", os.X_OK)


def test_a_stream_that_breaks_off_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    stream = io.BytesIO()
    wire.send_files(stream, tmp_path, ["file"])
    whole = stream.getvalue()
    for length in (0, 512, 50_000, 100_864):
        with pytest.raises(OSError, match="break off"):
            wire.receive_files(io.BytesIO(whole[:length]), tmp_path / "target")


@pytest.mark.parametrize("name", ["../file", "/etc/file", "link/file", "folder/../../file"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "link").symlink_to(tmp_path)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
        tar.addfile(tarfile.TarInfo(".complete"))
    stream.seek(0)
    with pytest.raises(OSError, match=r"outside|behind a link"):
        wire.receive_files(stream, target)
    assert not (tmp_path / "file").exists()


def _wish() -> Wish:
    return Wish(name="name", secret="secret", size=Size(1.0, MIB, 0.0), group="", index=0, count=1)
