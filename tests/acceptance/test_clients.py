"""The SageMaker SDKs, the AWS CLI and clients of S3, unmodified, against a real server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.clients import SCRIPTS, Client, program, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ClaryServer

TIMEOUT_S = 240
PROGRAMS = {
    "sdk2_sklearn": "sdk2",
    "sdk2_builtin": "sdk2",
    "sdk2_jobs": "sdk2",
    "sdk2_inputs": "sdk2",
    "sdk2_cluster": "sdk2",
    "sdk2_pools": "sdk2",
    "sdk2_role": "sdk2",
    "sdk3": "sdk3",
    "sdk3_inputs": "sdk3",
    "sdk3_cluster": "sdk3",
    "sdk3_processing": "sdk3",
    "sdk3_pools": "sdk3",
    "cli": "sdk2",
    "cli_s3": "sdk2",
    "s3_libraries": "clients",
    "s3_tools": "clients",
}


@pytest.fixture(scope="module")
def clients(server: ClaryServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """All programs at once: most of their time is sleep of the SDKs."""
    folder = tmp_path_factory.mktemp("clients")
    variables = server.environment
    started = {name: start(command(name, server), variables, folder, name) for name in PROGRAMS}
    yield started
    for client in started.values():
        client.process.kill()
        client.process.wait()


def command(name: str, server: ClaryServer) -> list[str]:
    call = [program(PROGRAMS[name], "python"), str(SCRIPTS / f"{name}.py")]
    if name == "sdk2_role":
        return [sys.executable, "-m", "clary.cli", "run", "--home", str(server.home), "--role", "--", *call]
    return call


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_client_is_served(clients: dict[str, Client], name: str) -> None:
    clients[name].check(TIMEOUT_S)
