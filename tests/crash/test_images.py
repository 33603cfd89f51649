"""What was pushed is there after a kill; what was not can be pushed on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests import rootfs
from tests.acceptance.workbench import Workbench, allow, until
from tests.conftest import short_home
from tests.oci import Registry, digest, image, layer, sender
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACE = "/v2/own/blobs"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    own = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_GATEWAYS": "1"})
    own.start()
    own.client("ecr").create_repository(repositoryName="own")
    yield own
    own.stop()


def test_a_pushed_image_survives_and_an_upload_goes_on(server: ClaryServer) -> None:
    pushed = image(layer(("small", b"x")), os.urandom(3 << 20))
    content = os.urandom(4 << 20)
    half = len(content) // 2
    with sender(server.port) as send:
        registry = Registry.of(send, server.client("ecr"))
        where = registry("POST", f"{PLACE}/uploads/").headers["location"]
        assert registry("PATCH", where, content[:half]).status == 202
        assert registry.push("own", pushed).status == 201
    server.kill()
    server.start()
    with sender(server.port) as send:
        registry = Registry.of(send, server.client("ecr"))
        assert registry.pull("own") == pushed
        assert registry("GET", where).headers["range"] == f"0-{half - 1}"
        assert registry("PUT", f"{where}?digest={digest(content)}", content[half:]).status == 201
        assert registry("GET", f"{PLACE}/{digest(content)}").body == content


def test_an_image_that_was_half_unpacked_is_unpacked_again(server: ClaryServer) -> None:
    files = [(f"many/{number}", b"x") for number in range(20_000)]
    bench = Workbench(server)
    role = bench.new_role(allow(["s3:*", "ecr:*"]))
    with sender(server.port) as send:
        Registry.of(send, server.client("ecr")).push("own", image(rootfs.shell(), layer(*files)))
    algorithm = {
        "TrainingImage": f"127.0.0.1:{server.port}/own", "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/sh", "-c", "test -e /many/0 && test -e /many/19999"],
    }  # fmt: skip
    name = bench.train("", AlgorithmSpecification=algorithm, RoleArn=role)
    until(lambda: list((server.home / "images").glob(".*")), every_s=0.005)
    server.kill()
    assert [path.suffix for path in (server.home / "images").iterdir() if not path.name.startswith(".")] == [".lock"]
    server.start()
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert list((server.home / "images").glob(".*")) == []
