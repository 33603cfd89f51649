"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import ClaryServer

if TYPE_CHECKING:
    from pathlib import Path

Client = Callable[..., Any]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    """One running platform for all tests of a session that do not kill it."""
    running = ClaryServer(short_home(tmp_path_factory))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(server: ClaryServer) -> Client:
    """Makes boto3 clients for the shared server, as root unless other keys are given."""
    return server.client


def short_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path leaves room for Unix sockets below it."""
    return tmp_path_factory.mktemp("h")
