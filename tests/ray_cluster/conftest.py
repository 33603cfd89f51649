"""A platform beside a real Ray cluster; `scripts/test --ray` makes the network in which both can be."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.workbench import Workbench
from tests.conftest import short_home
from tests.ray_cluster.cluster import AUTHENTICATION, CONNECT_S, HEAD, PLATFORM, RayCluster
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    if [name for _, name in socket.if_nameindex() if name != "lo"]:
        pytest.skip("needs the empty network that scripts/test --ray makes")
    running = RayCluster()
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def far_server(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    """A platform on a machine that is no node of the cluster."""
    settings = {"CLARY_COMPUTE": f"ray://{HEAD}:10001", **AUTHENTICATION}
    server = ClaryServer(short_home(tmp_path_factory), host=PLATFORM, settings=settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def far(far_server: ClaryServer) -> Workbench:
    bench = Workbench(far_server)
    # The first one waits for the connection to the cluster.
    bench.trained(bench.train("print('connected')"), CONNECT_S)
    return bench


@pytest.fixture
def whole(cluster: RayCluster) -> Iterator[RayCluster]:
    """The cluster for a test that breaks it."""
    yield cluster
    cluster.mend()
