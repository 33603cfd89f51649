from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clary.agent import bundle
from clary.agent.engine_api import EngineError
from clary.agent.engine_container import BUNDLE
from clary.agent.workload import SERVE_SOCKET, Archive, Container, Task, Workload
from clary.compute.engine import EngineImages, Layer, sweep_containers
from clary.compute.roots import UNUSED_S
from tests import podman, rootfs
from tests.compute.conftest import MIB
from tests.compute.test_container import get
from tests.oci import Image, image, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.compute.base import Observation
    from tests.podman import Podman

    from .conftest import Bench

NOBODY = 65534
# The interpreter may lie where others must not read, so all is imported before.
AGENT_OF_NOBODY = """
import encodings.idna, os, pathlib, sys
from clary.agent import engine, supervisor
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
supervisor.tend(pathlib.Path(sys.argv[1]))
"""
SERVER = b"""
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"name": os.environ["NAME"], "path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""

pytestmark = pytest.mark.skipif(bool(podman.refusal()), reason=podman.refusal())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with podman.podman(tmp_path_factory.mktemp("podman")) as running:
        yield running


@pytest.fixture(scope="module")
def images(engine: Podman, tmp_path_factory: pytest.TempPathFactory) -> EngineImages:
    return EngineImages(tmp_path_factory.mktemp("locks"), engine.socket)


def brought(images: EngineImages, what: Image) -> str:
    layers = [Layer(len(data), lambda data=data: iter([data])) for data in what.layers]  # type: ignore[misc]
    return images.get(what.digest, what.config, layers)


@pytest.fixture(scope="module")
def shell(engine: Podman, images: EngineImages) -> Container:
    """A system with a shell, in the engine."""
    name = brought(images, image(rootfs.shell(), layer(("opt/ml/code/train.sh", b"from the image\n"))))
    return Container(engine=engine.socket, image=name)


def run(bench: Bench, container: Container, command: str, **options: Any) -> tuple[Observation, list[str]]:
    """What a command of the shell prints."""
    seen = bench.run("image", "sh", "-c", command, container=container, **{"cwd": "/", **options})
    return seen, bench.log("image")


def test_a_command_runs_in_a_container(plain_bench: Bench, shell: Container) -> None:
    seen, lines = run(plain_bench, shell, "echo out; pwd; echo err >&2; exit 3", cwd="/place/there")
    assert (seen.exit_code, seen.reason, seen.isolation) == (3, "", "container")
    assert sorted(lines) == ["/place/there", "err", "out"]
    assert seen.started_at is not None
    assert seen.ended_at is not None


def test_data_are_where_they_always_are(plain_bench: Bench, shell: Container) -> None:
    folder = plain_bench.folder / "image" / "ml"
    for name in ("input/data", "model", "code"):
        (folder / name).mkdir(parents=True)
    (folder / "input" / "data" / "x").write_text("data\n")
    command = "cat /opt/ml/input/data/x /opt/ml/code/train.sh; echo model > /opt/ml/model/m"
    archive = Archive("ml/model", "model.tar.gz")
    seen, lines = run(plain_bench, shell, command, archives=(archive,))
    assert (seen.exit_code, lines) == (0, ["data", "from the image"])
    assert (folder / "model" / "m").read_text() == "model\n"
    assert (plain_bench.folder / "image" / "model.tar.gz").stat().st_size > 0


@pytest.mark.parametrize("user", ["app", "1234:1235"])
def test_the_user_of_an_image_may_write_results(plain_bench: Bench, shell: Container, user: str) -> None:
    (plain_bench.folder / "image" / "ml" / "model").mkdir(parents=True)
    container = Container(engine=shell.engine, image=shell.image, user=user)
    seen, lines = run(plain_bench, container, "id; touch /opt/ml/model/m")
    assert seen.exit_code == 0, lines
    assert lines[0].startswith("uid=1234(app) gid=1235(app)")


def test_the_environment_is_that_of_a_workload(plain_bench: Bench, shell: Container) -> None:
    _, lines = run(plain_bench, shell, "env", env={"A": "one\ttwo", "PATH": "/bin"}, cpus=2.0)
    assert {"A=one\ttwo", "PATH=/bin", "OMP_NUM_THREADS=2", "HOME=/root"} <= set(lines)


def test_limits_hold(plain_bench: Bench, shell: Container) -> None:
    seen, _ = run(plain_bench, shell, "x=a; while true; do x=$x$x; done", memory_bytes=64 * MIB)
    assert (seen.exit_code, seen.reason) == (137, "oom")


def test_an_isolated_workload_has_no_network(plain_bench: Bench, shell: Container) -> None:
    seen, lines = run(plain_bench, shell, "cat /proc/net/dev", network=False)
    assert seen.exit_code == 0
    assert [line.split(":")[0].strip() for line in lines[2:]] == ["lo"]


def test_hosts_know_each_other(plain_bench: Bench, shell: Container) -> None:
    _, lines = run(plain_bench, shell, "cat /etc/hosts", hosts={"algo-1": "127.1.2.3", "algo-2": "127.1.2.4"})
    assert {"127.1.2.3 algo-1", "127.1.2.4 algo-2"} <= {" ".join(line.split()) for line in lines}


def test_a_server_is_reached_by_its_socket(plain_bench: Bench, engine: Podman, images: EngineImages) -> None:
    system = image(rootfs.python("http.server", "json"), layer(("serve.py", SERVER)))
    container = Container(engine=engine.socket, image=brought(images, system), port=8080)
    for name in ("one", "two"):
        plain_bench.start(name, "python3", "/serve.py", container=container, cwd="/", env={"NAME": name})
    for name in ("one", "two"):
        assert f'"name": "{name}"'.encode() in get(plain_bench.folder / name / "run" / SERVE_SOCKET)


def test_a_server_without_a_network_is_refused(plain_bench: Bench, shell: Container) -> None:
    container = Container(engine=shell.engine, image=shell.image, port=8080)
    seen, _ = run(plain_bench, container, "true", network=False)
    assert (seen.reason, "needs a sandbox" in seen.message) == ("sandbox", True)


def test_hosts_of_an_isolated_cluster_are_refused(plain_bench: Bench, shell: Container) -> None:
    seen, _ = run(plain_bench, shell, "true", hosts={"algo-1": "127.1.2.3", "algo-2": "127.1.2.4"}, network=False)
    assert seen.reason == "sandbox"
    assert "need sandboxes" in seen.message


def test_a_command_that_is_not_there_is_told(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    seen = plain_bench.run("image", "/not/there", container=shell, cwd="/")
    assert seen.reason == "sandbox"
    assert "/not/there" in seen.message
    assert engine.containers() == []


def test_an_engine_that_is_not_there_is_told(plain_bench: Bench, tmp_path: Path) -> None:
    seen, _ = run(plain_bench, Container(engine=str(tmp_path / "none"), image="x"), "true")
    assert seen.reason == "sandbox"
    assert "does not answer" in seen.message


def test_stopping_is_polite(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    command = "trap 'echo bye; exit 7' TERM; echo ready; while true; do sleep 0.05; done"
    handle = plain_bench.start("image", "sh", "-c", command, container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    plain_bench.backend.stop(handle, 60)
    seen = plain_bench.wait(handle)
    assert (seen.exit_code, seen.reason, plain_bench.log("image")) == (7, "stopped", ["ready", "bye"])
    assert engine.containers() == []


def test_who_does_not_listen_is_killed(plain_bench: Bench, shell: Container) -> None:
    handle = plain_bench.start("image", "sh", "-c", "echo ready; sleep 600", container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    plain_bench.backend.stop(handle, 0.1)
    seen = plain_bench.wait(handle)
    assert (seen.exit_code, seen.signal, seen.reason) == (137, 9, "stopped")


def test_time_runs_out(plain_bench: Bench, shell: Container) -> None:
    seen, _ = run(plain_bench, shell, "sleep 600", timeout_s=0.2, grace_s=0.1)
    assert (seen.exit_code, seen.reason) == (137, "timeout")


def test_deleting_leaves_nothing(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    handle = plain_bench.start("image", "sh", "-c", "echo ready; sleep 600", container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    assert len(engine.containers()) == 1
    plain_bench.backend.delete(handle)
    assert engine.containers() == []


def test_a_workload_whose_agent_died_is_lost(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    handle = plain_bench.start("image", "sh", "-c", "echo ready; sleep 600", container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    pid = bundle.agent_pid(plain_bench.folder / "image")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    seen = plain_bench.wait(handle)
    assert seen.reason == "lost"
    assert engine.containers() == []


def test_an_engine_may_be_away_for_a_while(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    model = plain_bench.folder / "image" / "ml" / "model"
    model.mkdir(parents=True)
    command = "echo ready; until test -e /opt/ml/model/go; do sleep 0.05; done; echo done; exit 5"
    handle = plain_bench.start("image", "sh", "-c", command, container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    engine.stop()
    (model / "go").touch()
    engine.start()
    seen = plain_bench.wait(handle)
    assert (seen.exit_code, seen.reason) == (5, "")
    assert engine.containers() == []


def test_a_container_that_somebody_removes_is_lost(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    handle = plain_bench.start("image", "sh", "-c", "echo ready; sleep 600", container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    engine.engine.remove(engine.containers()[0])
    seen = plain_bench.wait(handle)
    assert (seen.reason, seen.exit_code) in {("lost", None), ("oom", 137)}


def test_nothing_outlives_its_folder(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    plain_bench.start("image", "sh", "-c", "echo ready; sleep 600", container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    agent = bundle.agent_pid(plain_bench.folder / "image")
    assert agent is not None
    end = os.pidfd_open(agent)
    shutil.rmtree(plain_bench.folder / "image")
    assert select.select([end], [], [], 20)[0]
    os.close(end)
    assert engine.containers() == []


def test_an_ordinary_user_gets_the_results(
    engine: Podman, images: EngineImages, shell: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "PROGRAMS", (*rootfs.PROGRAMS, "chown"))
    system = image(rootfs.shell.__wrapped__())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        socket = folder / "engine.sock"
        socket.hardlink_to(engine.socket)
        socket.chmod(0o666)
        (folder / "ml" / "model" / "deep").mkdir(parents=True)
        workload = Workload(
            id="x", bundle=folder, command=("sh", "-c", "umask 077; echo m > /opt/ml/model/deep/m; exit 4"), env={},
            cpus=1.0, memory_bytes=64 * MIB, container=Container(engine=str(socket), image=brought(images, system)),
            archives=(Archive("ml/model", "model.tar.gz"),), cwd="/",
        )  # fmt: skip
        bundle.write(folder / bundle.TASK, Task(workload=workload, isolation="container").to_json())
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        subprocess.run([sys.executable, "-c", AGENT_OF_NOBODY, name, str(NOBODY)], cwd="/", check=True)
        end = bundle.read(folder / bundle.EXIT) or {}
        assert (end["exit_code"], end["reason"]) == (4, "")
        assert (folder / "ml" / "model" / "deep" / "m").stat().st_uid == NOBODY
        assert (folder / "model.tar.gz").exists()
    assert engine.containers() == []


def test_containers_that_nobody_tends_are_swept(plain_bench: Bench, engine: Podman, shell: Container) -> None:
    plain_bench.start("image", "sh", "-c", "echo ready; sleep 600", container=shell, cwd="/")
    plain_bench.wait_for_line("image", "ready")
    for folder, left in ((plain_bench.folder, 1), (plain_bench.folder / "elsewhere", 2), (plain_bench.folder, 1)):
        if left == 2:
            labels = {"Image": shell.image, "Entrypoint": ["sh"], "Labels": {BUNDLE: str(plain_bench.folder / "gone")}}
            engine.engine.create("left-behind", labels)
        sweep_containers(engine.socket, folder)
        assert len(engine.containers()) == left


def test_images_that_nobody_uses_are_swept(engine: Podman, tmp_path: Path) -> None:
    images = EngineImages(tmp_path, engine.socket)
    name = brought(images, image(rootfs.shell(), layer(("only", b"here"))))
    images.sweep(time.time())
    assert engine.engine.has_image(name)
    images.sweep(time.time() + 2 * UNUSED_S)
    assert not engine.engine.has_image(name)


def test_what_is_no_image_is_refused_in_the_words_of_the_engine(images: EngineImages) -> None:
    good = image(rootfs.shell())
    with pytest.raises(EngineError, match=r"\w"):
        brought(images, Image(good.layers, b"no json", b"no manifest"))


def test_output_of_all_kinds_is_kept(plain_bench: Bench, shell: Container) -> None:
    command = "i=0; while test $i -lt 20000; do echo line $i; i=$((i+1)); done; printf 'no end'"
    seen, lines = run(plain_bench, shell, command)
    assert seen.exit_code == 0
    assert lines == [*(f"line {number}" for number in range(20000)), "no end"]
