from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from clary.cli import main
from tests.server import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server import ClaryServer

IDENTITY = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"


def clary(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLARY_"))}
    return subprocess.run(
        [sys.executable, "-m", "clary.cli", *arguments],
        env={**clean, **environment}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_up_in_the_background_status_and_down(tmp_path: Path) -> None:
    home = str(tmp_path / "h")
    up = clary("up", "--detach", "--home", home, "--port", str(free_port()), CLARY_WARM_WORKERS="no")
    assert up.returncode == 0, up.stderr
    assert "AWS_SECRET_ACCESS_KEY" in up.stdout
    again = clary("up", "--home", home)
    assert (again.returncode, "already running" in again.stderr) == (1, True)
    assert "answers at" in clary("status", "--home", home).stdout
    assert clary("down", "--home", home).returncode == 0
    assert clary("status", "--home", home).returncode == 3
    assert clary("down", "--home", home).returncode == 1
    port = str(free_port())
    second = clary("up", "--detach", "--home", home, "--port", port, CLARY_WARM_WORKERS="no")
    assert "AWS_SECRET_ACCESS_KEY" not in second.stdout
    clary("down", "--home", home)


@pytest.mark.parametrize("how", [(), ("--detach",)])
def test_a_port_that_is_taken_is_named(tmp_path: Path, how: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        up = clary("up", "--home", str(tmp_path / "h"), "--port", port, *how, CLARY_WARM_WORKERS="no")
    assert (up.returncode, up.stdout) == (1, "")
    assert up.stderr == f"clary: cannot listen at 127.0.0.1, port {port}: Address already in use\n"


def test_a_home_has_one_server_also_while_that_starts(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        up = clary("up", "--home", str(tmp_path), "--port", str(free_port()))
    assert (up.returncode, up.stderr) == (1, f"clary: another server starts or runs in {tmp_path}\n")


def test_homes_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "clary.db").write_text("this is no database" * 100)
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "key").write_bytes(bytes(32))
    (tmp_path / "open" / "key").chmod(0o644)
    for name, said in {"file": "File exists", "file/x": "Not a directory", "x" * 90: "may have 75 bytes",
                       "open": "others may read the key file",
                       "bad": "clary.db cannot be used: file is not a database"}.items():  # fmt: skip
        up = clary("up", "--home", str(tmp_path / name), "--port", str(free_port()), CLARY_WARM_WORKERS="no")
        assert (up.returncode, said in up.stderr, "Traceback" in up.stderr) == (1, True, False), up.stderr


def test_env_is_what_a_shell_needs(server: ClaryServer) -> None:
    script = f'eval "$({sys.executable} -m clary.cli env --home {server.home})" && {sys.executable} -c "{IDENTITY}"'
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(":root")


def test_run_as_root_and_as_a_role(server: ClaryServer) -> None:
    home = str(server.home)
    assert clary("run", "--home", home, "--", sys.executable, "-c", IDENTITY).stdout.strip().endswith(":root")
    role = clary("run", "--home", home, "--role", "ClaryExecutionRole", "--", sys.executable, "-c", IDENTITY)
    assert "assumed-role/ClaryExecutionRole/" in role.stdout
    assert clary("run", "--home", home, "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert clary("run", "--home", home, "--", "/no/such/program").returncode == 1


def test_what_it_keeps_is_private(server: ClaryServer) -> None:
    assert server.home.stat().st_mode & 0o077 == 0
    assert (server.home / "credentials").stat().st_mode & 0o077 == 0


def test_doctor_tells_about_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--home", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert {line.split()[0] for line in told.splitlines()} >= {"isolation", "limits", "KVM", "processors"}


def test_commands_that_need_a_server_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "--home", str(tmp_path)]) == 1
    assert "not running" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    # The reader is gone before the first line is written.
    script = f"{sys.executable} -m clary.cli doctor --home {tmp_path} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
