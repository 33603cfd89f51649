"""Further processes inside running workloads, and instances that live from them."""

from __future__ import annotations

import os
import pty
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clary.compute.base import Forward

if TYPE_CHECKING:
    from clary.compute.base import Handle
    from clary.compute.probe import Machine
    from tests.compute.conftest import Bench

STAY = ("sh", "-c", "echo up; exec sleep 600")


@pytest.fixture
def namespaces(machine: Machine) -> None:
    if machine.isolation == "none":
        pytest.skip(machine.reason)


def _running(bench: Bench, name: str) -> Handle:
    handle = bench.start(name, *STAY, env={"MINE": "1"})
    bench.wait(handle, lambda seen: seen.phase == "running")
    return handle


def test_a_command_runs_beside_the_workload(any_bench: Bench) -> None:
    handle = _running(any_bench, "beside")
    done = any_bench.backend.execute(handle, ["sh", "-c", "echo $MINE; echo err >&2; exit 4"])
    assert (done.exit_code, done.output) == (4, b"1\nerr\n")


def test_a_missing_command_says_so(any_bench: Bench) -> None:
    done = any_bench.backend.execute(_running(any_bench, "missing"), ["no-such-program"])
    assert done.exit_code == 127
    assert b"no-such-program" in done.output or b"No such file" in done.output


def test_a_command_that_takes_too_long_is_ended(any_bench: Bench) -> None:
    handle = _running(any_bench, "slow")
    with pytest.raises(TimeoutError):
        any_bench.backend.execute(handle, ["sleep", "600"], timeout_s=0.1)


def test_a_workload_that_has_ended_takes_no_commands(any_bench: Bench) -> None:
    handle = any_bench.start("ended", "true")
    any_bench.wait(handle)
    with pytest.raises(ConnectionError, match="test/ended"):
        any_bench.backend.execute(handle, ["true"])


def test_commands_end_with_their_workload(any_bench: Bench) -> None:
    handle = _running(any_bench, "together")
    ours, theirs = os.pipe()
    session = any_bench.backend.session(handle, ["sh", "-c", "echo begun; exec sleep 600"], [theirs] * 3, {})
    os.close(theirs)
    assert os.read(ours, 64) == b"begun\n"
    any_bench.backend.stop(handle, 0)
    assert session.wait(10) == 137
    session.close()
    os.close(ours)


def test_a_session_may_have_a_terminal(any_bench: Bench) -> None:
    handle = _running(any_bench, "terminal")
    ours, theirs = pty.openpty()
    session = any_bench.backend.session(handle, ["sh", "-c", "tty -s && echo $TERM"], [theirs] * 3, {"TERM": "vt100"})
    os.close(theirs)
    assert os.read(ours, 64) == b"vt100\r\n"
    assert session.wait(10) == 0
    session.close()
    os.close(ours)


@pytest.mark.usefixtures("namespaces")
def test_a_command_sees_what_the_workload_sees(bench: Bench) -> None:
    handle = _running(bench, "inside")
    look = "import os; print(os.uname().nodename, os.getpid() < 50, os.listdir('/opt'), os.path.exists('/.host'))"
    done = bench.backend.execute(handle, ["python", "-c", look])
    assert done.output == b"algo-1 True ['ml'] False\n"
    assert bench.backend.execute(handle, ["mount", "-t", "tmpfs", "x", "/tmp"]).exit_code != 0


INSTANCE = ("python", "-m", "clary.agent.instance")
USER_DATA = "#!/bin/sh\necho booted on $(hostname)\necho kept > /home/note\n"


def _boot(bench: Bench, name: str, root: Path, user_data: str = USER_DATA) -> Handle:
    run = bench.folder / name / "run"
    run.mkdir(parents=True)
    (run / "user-data").write_text(user_data)
    return bench.start(name, *INSTANCE, root=root, hostname="ip-10-0-0-7", cwd="/")


@pytest.mark.usefixtures("namespaces")
def test_an_instance_runs_its_user_data_once_and_keeps_its_disk(bench: Bench, tmp_path: Path) -> None:
    first = _boot(bench, "first", tmp_path / "root")
    bench.wait_for_line("first", "ended with exit code 0")
    assert bench.log("first")[0] == "booted on ip-10-0-0-7"
    bench.backend.execute(first, ["sh", "-c", "echo more >> /home/note; echo x > /etc/motd"])
    bench.backend.stop(first, 5)
    assert bench.wait(first).exit_code == 0
    second = _boot(bench, "second", tmp_path / "root")
    bench.wait(second, lambda seen: seen.phase == "running")
    done = bench.backend.execute(second, ["cat", "/home/note", "/etc/motd"])
    assert done.output.split() == [b"kept", b"more", b"x"]
    assert bench.log("second") == []


@pytest.mark.usefixtures("namespaces")
def test_links_that_an_instance_leaves_do_not_lead_its_next_start_astray(bench: Bench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "hosts").write_text("mine")
    outside = f"/.host{victim}"
    links = f"""ln -sf {outside}/hosts /etc/hosts && rm -rf /etc/ssl /var/log /var/lib
        ln -s {outside} /etc/ssl && ln -s {outside} /var/log && ln -s {outside} /var/lib"""
    bench.run("leave", "sh", "-c", links, root=tmp_path / "root", cwd="/")
    seen = bench.run("again", "cat", "/etc/hosts", root=tmp_path / "root", cwd="/", hostname="ip-10-0-0-7")
    assert (seen.exit_code, bench.log("again")[-1]) == (0, "127.0.0.1 ip-10-0-0-7")
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("hosts", "mine")]


@pytest.mark.usefixtures("namespaces")
def test_an_instance_of_root_keeps_changes_of_the_system(bench: Bench, tmp_path: Path, machine: Machine) -> None:
    if not machine.root:
        pytest.skip("only root may change /usr")
    for name, command in (("one", "echo here > /usr/local/note"), ("two", "cat /usr/local/note")):
        bench.run(name, "sh", "-c", command, root=tmp_path / "root", cwd="/")
    assert bench.log("two") == ["here"]
    assert not Path("/usr/local/note").exists()


@pytest.mark.usefixtures("namespaces")
def test_user_data_of_another_kind_is_named_on_the_console(bench: Bench, tmp_path: Path) -> None:
    _boot(bench, "cloud", tmp_path / "root", "#include\n")
    bench.wait_for_line("cloud", "#include")


@pytest.mark.usefixtures("namespaces")
def test_a_server_outside_is_reached_at_an_address_inside(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "imds.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_answer_once, args=(listener, b"metadata")).start()
        threading.Thread(target=_answer_once, args=(other, b"endpoint")).start()
        code = (
            "import socket\nfor address in (('169.254.169.254', 80), ('127.0.0.1', 4100)):\n"
            " with socket.create_connection(address) as c: c.sendall(b'hi'); print(c.recv(64).decode(), flush=True)\n"
        )
        forwards = (
            Forward("169.254.169.254", 80, str(path)),
            Forward("127.0.0.1", 4100, f"127.0.0.1:{other.getsockname()[1]}"),
        )
        seen = bench.run("forward", "python", "-c", code, network=False, forwards=forwards)
    assert bench.log("forward") == ["metadata for hi", "endpoint for hi"]
    assert seen.exit_code == 0


def _answer_once(listener: socket.socket, word: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(word + b" for " + connection.recv(64))
