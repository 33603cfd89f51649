"""Fixtures that every test may use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from tests.cloud import Cloud
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
    # Endpoints that tests left behind outlive the server, as they should, and end with their folders.
    shutil.rmtree(running.home / "e", ignore_errors=True)


@pytest.fixture(scope="session")
def client(server: ClaryServer) -> Client:
    """Makes boto3 clients for the shared server, as root unless other keys are given."""
    return server.client


def short_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path leaves room for Unix sockets below it."""
    return tmp_path_factory.mktemp("h")


@pytest.fixture(scope="session")
def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), botocore.session.Session())
    yield cloud
    cloud.close()


@pytest.fixture
def cloud(shared_cloud: Cloud) -> Cloud:
    """A platform with nothing in it but the root user."""
    shared_cloud.empty()
    return shared_cloud
