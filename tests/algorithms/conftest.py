from __future__ import annotations

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
