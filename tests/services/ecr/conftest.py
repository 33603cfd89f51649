"""A registry in the process of the tests, and clients for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oci import Registry, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cloud import Cloud

HOST = "127.0.0.1:4100"


@pytest.fixture
def ecr(cloud: Cloud) -> Any:
    return cloud.client("ecr")


@pytest.fixture
def send(cloud: Cloud) -> Callable[..., Told]:
    def act(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        response, content = cloud.send(method, f"http://{HOST}{path}", {"host": HOST, **headers}, body)
        return Told(response.status, response.headers, content)

    return act


@pytest.fixture
def registry(ecr: Any, send: Callable[..., Told]) -> Registry:
    """The registry as root sees it, with an empty repository `team/model`."""
    ecr.create_repository(repositoryName="team/model")
    return Registry.of(send, ecr)
