from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clary.compute.probe import Machine, probe

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_what_is_found_is_consistent(machine: Machine) -> None:
    assert machine.root == (os.geteuid() == 0)
    assert bool(machine.reason) == (machine.isolation == "none")
    assert machine.copies or not machine.reason
    assert all(Path(folder).is_dir() for folder in machine.cgroups.values())


def test_isolation_can_be_switched_off() -> None:
    machine = probe(isolation="none")
    assert machine.isolation == "none"
    assert machine.reason == "switched off by the settings"
    assert not machine.network
    assert machine.copies


def test_nothing_is_left_of_what_was_tried(tmp_path: Path) -> None:
    probe(folder=tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("isolation", "containers", "chosen"),
    [
        ("none", "auto", True),
        ("none", "engine", True),
        ("none", "sandbox", False),
        ("auto", "engine", True),
        ("auto", "sandbox", False),
    ],
)
def test_an_engine_runs_images_where_it_should(
    engine: str, monkeypatch: pytest.MonkeyPatch, isolation: str, containers: str, *, chosen: bool
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine}")
    machine = probe(isolation=isolation, containers=containers)
    assert machine.containers[0] == engine
    assert machine.engine == (engine if chosen else "")


def test_an_engine_that_is_named_need_not_be_found(tmp_path: Path) -> None:
    assert probe(containers=f"unix://{tmp_path}/engine.sock").engine == f"{tmp_path}/engine.sock"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    """The socket of what answers to pings."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_answer, args=(listener,))
        thread.start()
        yield str(path)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _answer(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")
