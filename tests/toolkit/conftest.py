from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.toolkit.container import Container, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "ml")


@pytest.fixture
def serving(container: Container) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*module: str, **options: Any) -> Server:
        servers.append(Server(container, *module, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()
        if server.process.stdout:
            server.process.stdout.close()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with a package that no index has."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "clary_example-1.0.dist-info"
    with zipfile.ZipFile(folder / "clary_example-1.0-py3-none-any.whl", "w") as file:
        file.writestr("clary_example.py", "VALUE = 42\n")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: clary-example\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return folder
