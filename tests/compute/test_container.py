from __future__ import annotations

import http.client
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clary.agent.workload import SERVE_SOCKET, Container
from clary.compute.roots import Roots
from clary.compute.unpacking import Unpacker
from tests import rootfs
from tests.oci import layer

if TYPE_CHECKING:
    from clary.compute.base import Observation
    from clary.compute.probe import Machine

    from .conftest import Bench

SERVER = b"""
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"pid": os.getpid(), "path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.fixture(autouse=True)
def needs_sandbox(machine: Machine) -> None:
    if machine.isolation == "none":
        pytest.skip(machine.reason)


def root(folder: Path, *layers: bytes) -> Path:
    return Roots(folder / "images").get(f"sha256:{len(layers)}", (iter([data]) for data in layers))


def run(bench: Bench, command: str, *layers: bytes, **options: Any) -> tuple[Observation, list[str]]:
    """What a command of the shell in an image prints."""
    container = Container(root=root(bench.folder, rootfs.shell(), *layers), user=options.pop("user", ""))
    seen = bench.run("image", "sh", "-c", command, container=container, **{"cwd": "/", **options})
    return seen, bench.log("image")


def test_the_image_is_the_whole_system(bench: Bench) -> None:
    seen, lines = run(
        bench, "cat /hello; ls /; ls /usr; test ! -e " + str(Path.home()) + "/.", layer(("hello", b"hi\n"))
    )
    assert "hi" in lines
    assert "boot" not in lines
    assert ".host" not in lines
    assert seen.isolation == "namespaces"


def test_changes_are_thrown_away(bench: Bench) -> None:
    for name in ("one", "two"):
        container = Container(root=root(bench.folder, rootfs.shell()))
        command = "test ! -e /made && touch /made /bin/made && rm /bin/ls && test ! -e /bin/ls"
        assert bench.run(name, "sh", "-c", command, container=container, cwd="/").exit_code == 0
        assert not (bench.folder / name / "scratch").exists()
    assert not (container.root / "made").exists()
    assert (container.root / "bin" / "ls").exists()


def test_data_are_where_they_always_are(bench: Bench) -> None:
    folder = bench.folder / "image" / "ml"
    for name in ("input/data", "model", "code"):
        (folder / name).mkdir(parents=True)
    (folder / "input" / "data" / "x").write_text("data\n")
    command = "cat /opt/ml/input/data/x /opt/ml/code/train.sh; echo model > /opt/ml/model/m; cat /etc/hosts"
    seen, lines = run(bench, command, layer(("opt/ml/code/train.sh", b"from the image\n")))
    assert seen.exit_code == 0, lines
    assert lines[:2] == ["data", "from the image"]
    assert any("algo-1" in line for line in lines)
    assert (folder / "model" / "m").read_text() == "model\n"


def test_devices_and_processes_are_its_own(bench: Bench) -> None:
    seen, lines = run(bench, "echo x > /dev/null; echo shown > /dev/stdout; echo /proc/[0-9]*; cat /dev/sdX")
    assert "shown" in lines
    assert "/proc/1 /proc/2" in " ".join(lines)
    assert seen.exit_code != 0


def test_the_folder_and_variables_are_those_of_the_image(bench: Bench) -> None:
    _, lines = run(bench, "pwd; env", cwd="/not/there/yet", env={"A": "1"})
    assert lines[0] == "/not/there/yet"
    assert "A=1" in lines
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines
    assert "HOME=/root" in lines


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user can be nobody else in a sandbox")
@pytest.mark.parametrize(
    ("user", "told"),
    [
        ("app", "uid=1234(app) gid=1235(app) groups=1235(app),77(extra)"),
        ("1234", "uid=1234(app) gid=1235(app) groups=1235(app),77(extra)"),
        ("77:99", "uid=77 gid=99 groups=99"),
        ("app:extra", "uid=1234(app) gid=77(extra) groups=77(extra)"),
        ("", "uid=0(root) gid=0(root) groups=0(root)"),
    ],
)
def test_the_command_runs_as_the_user_of_the_image(bench: Bench, user: str, told: str) -> None:
    (bench.folder / "image" / "ml" / "model").mkdir(parents=True)
    seen, lines = run(bench, "id; touch /opt/ml/model/m && echo out > /dev/stdout", user=user)
    assert seen.exit_code == 0, lines
    assert lines == [told, "out"]


def test_a_user_that_is_not_there_is_told(bench: Bench) -> None:
    seen, lines = run(bench, "id", user="nobody-known")
    assert seen.exit_code == 127
    assert "the image has no user nobody-known" in lines[0]


@pytest.mark.parametrize("name", ["opt", "etc", "proc", "dev", "run", "sys"])
def test_an_image_cannot_link_into_the_machine(bench: Bench, name: str) -> None:
    (bench.folder / "image" / "ml" / "model").mkdir(parents=True)
    outside = bench.folder / "outside"
    outside.mkdir()
    links = layer(*[(each, f"/.host{outside}") for each in (name, "x")])
    unpacked = root(bench.folder, links)
    container = Container(root=unpacked)
    seen = bench.run("image", "sh", container=container)
    assert seen.reason == "sandbox", bench.log("image")
    assert list(outside.iterdir()) == []


def test_a_server_is_reached_by_its_socket(bench: Bench) -> None:
    image = root(bench.folder, rootfs.python("http.server", "json"), layer(("serve.py", SERVER)))
    options: dict[str, Any] = {"container": Container(root=image, port=8080), "network": False, "cwd": "/"}
    handles = [bench.start(name, "python3", "/serve.py", **options) for name in ("one", "two")]
    answers = [get(bench.folder / name / "run" / SERVE_SOCKET) for name in ("one", "two")]
    assert [b'"path": "/ping"' in answer for answer in answers] == [True, True]
    bench.backend.stop(handles[0], 0)
    bench.wait(handles[0])


def get(path: Path) -> bytes:
    for _ in range(200):
        with suppress(OSError, http.client.HTTPException), socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(path))
            connection = http.client.HTTPConnection("localhost")
            connection.sock = connected
            connection.request("GET", "/ping")
            return connection.getresponse().read()
        threading.Event().wait(0.05)
    raise AssertionError("the server never answered")


def test_an_image_in_use_is_not_swept(bench: Bench) -> None:
    roots = Roots(bench.folder / "images")
    container = Container(root=root(bench.folder, rootfs.shell()))
    handle = bench.start("image", "sh", "-c", "echo up; sleep 60", container=container, cwd="/")
    bench.wait_for_line("image", "up")
    assert roots.sweep(now=1e12) == 0
    bench.backend.stop(handle, 0)
    bench.wait(handle)
    assert roots.sweep(now=0) == 0
    assert roots.sweep(now=1e12) == 1
    assert not container.root.exists()
    assert root(bench.folder, rootfs.shell()).exists()


def test_without_a_sandbox_there_are_no_images(plain_bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    Unpacker(folder).apply(iter([rootfs.shell()]))
    seen = plain_bench.run("image", "sh", container=Container(root=folder))
    assert (seen.reason, seen.message) == (
        "sandbox", "an image of one's own needs a sandbox, which this machine does not allow",
    )  # fmt: skip
