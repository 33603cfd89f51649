"""Images of one's own where the machine allows no sandbox, but has a container engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import podman, rootfs
from tests.acceptance.test_images import PULL, pushed, train
from tests.acceptance.workbench import Workbench, allow
from tests.conftest import short_home
from tests.oci import Registry, image, layer, sender
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.podman import Podman

pytestmark = pytest.mark.skipif(bool(podman.refusal()), reason=podman.refusal())

TRAIN = b"""#!/bin/sh
echo "ARGUMENTS $@ IN $(pwd) WITH $COLOUR $TASTE"
cat /opt/ml/input/data/train/rows > /opt/ml/model/rows
test -z "$FAIL" || { echo "out of luck" > /opt/ml/output/failure; exit 3; }
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with podman.podman(tmp_path_factory.mktemp("podman")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(engine: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    settings = {"CLARY_ISOLATION": "none", "DOCKER_HOST": f"unix://{engine.socket}"}
    server = ClaryServer(short_home(tmp_path_factory), settings=settings)
    server.start()
    yield Workbench(server)
    server.stop()


@pytest.fixture(scope="module")
def role(plain: Workbench) -> str:
    return plain.new_role(allow(["s3:*", *PULL]))


@pytest.fixture(scope="module")
def registry(plain: Workbench) -> Iterator[Registry]:
    with sender(plain.server.port) as send:
        yield Registry.of(send, plain.server.client("ecr"))


@pytest.fixture(scope="module")
def trainer(plain: Workbench, registry: Registry) -> str:
    config = {"Entrypoint": ["/bin/train-it"], "WorkingDir": "/work", "Env": ["COLOUR=green"]}
    what = image(rootfs.shell(), layer(("bin/train-it", TRAIN)), **config)
    return pushed(registry, plain.server.client("ecr"), what)


def test_a_training_job_runs_in_a_container(plain: Workbench, engine: Podman, role: str, trainer: str) -> None:
    name = train(plain, role, trainer, Environment={"TASTE": "sour"})
    job = plain.trained(name)
    assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], plain.log(name))
    assert plain.log(name) == ["ARGUMENTS train IN /work WITH green sour"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")
    assert engine.containers() == []


def test_a_failure_is_told_in_the_words_of_the_image(plain: Workbench, role: str, trainer: str) -> None:
    job = plain.trained(train(plain, role, trainer, Environment={"FAIL": "1"}))
    assert job["FailureReason"] == "AlgorithmError: out of luck, exit code: 3"
