from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from clary.agent import bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    assert bundle.read(tmp_path / "state") is None
    bundle.write(tmp_path / "state", {"a": 1}, sync=True)
    assert bundle.read(tmp_path / "state") == {"a": 1}
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_bundle_has_one_agent_while_that_lives(tmp_path: Path) -> None:
    assert bundle.agent_pid(tmp_path) is None
    child, answers, leave = _agent(tmp_path)
    assert answers == b"y"
    assert bundle.agent_pid(tmp_path) == child
    second, refused, leave_second = _agent(tmp_path)
    assert refused == b"n"
    for pid, pipe in ((second, leave_second), (child, leave)):
        os.close(pipe)
        os.waitpid(pid, 0)
    assert bundle.agent_pid(tmp_path) is None


def test_a_socket_may_lie_deeper_than_its_address_is_long(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        with bundle.address(folder / "s") as address:
            listener.bind(address)
        listener.listen()
        with bundle.address(folder / "s") as address:
            client.connect(address)


def _agent(folder: Path) -> tuple[int, bytes, int]:
    """A child that claims the bundle, its answer, and the pipe whose closing ends it."""
    answer_read, answer = os.pipe()
    wait, leave = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(leave)
        os.write(answer, b"y" if bundle.claim(folder) else b"n")
        os.read(wait, 1)
        os._exit(0)
    os.close(answer)
    os.close(wait)
    told = os.read(answer_read, 1)
    os.close(answer_read)
    return child, told, leave
