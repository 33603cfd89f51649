"""Images of one's own where the machine allows no sandbox, but has a container engine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests import podman, rootfs
from tests.acceptance.test_images import PULL, pushed, train
from tests.acceptance.workbench import Workbench, allow, ended, unique, until
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


SERVE = b"""
import http.server, json, os, signal, sys, urllib.request
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        health = urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_clary/health").status
        asked = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            headers={"authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
        role = json.load(urllib.request.urlopen(asked))["RoleArn"]
        sent = self.rfile.read(int(self.headers["content-length"])).decode()
        model = open("/opt/ml/model/weights").read()
        self.answer(json.dumps({"sent": sent, "model": model, "argv": sys.argv[1:], "health": health,
                                "role": role}).encode())
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
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


@pytest.fixture
def registry(plain: Workbench) -> Iterator[Registry]:
    with sender(plain.server.port) as send:
        yield Registry.of(send, plain.server.client("ecr"))


@pytest.fixture(scope="module")
def trainer(plain: Workbench) -> str:
    config = {"Entrypoint": ["/bin/train-it"], "WorkingDir": "/work", "Env": ["COLOUR=green"]}
    what = image(rootfs.shell(), layer(("bin/train-it", TRAIN)), **config)
    ecr = plain.server.client("ecr")
    with sender(plain.server.port) as send:
        return pushed(Registry.of(send, ecr), ecr, what)


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


def test_an_endpoint_serves_from_containers(plain: Workbench, engine: Podman, role: str, registry: Registry) -> None:
    system = rootfs.python("http.server", "json", "signal", "urllib.request", "socketserver")
    what = image(system, layer(("serve.py", SERVE)), Entrypoint=["python3", "/serve.py"])
    uri = pushed(registry, plain.server.client("ecr"), what)
    name = unique("own")
    artefact = plain.put(f"{name}/model.tar.gz", layer(("weights", b"42")))
    container = {"Image": uri, "ModelDataUrl": artefact}
    plain.sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    endpoint = plain.endpoint(name, InitialInstanceCount=2)
    described = plain.settled(endpoint)
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    for _ in range(4):
        assert json.loads(plain.ask(endpoint, "1,2")) == {
            "sent": "1,2", "model": "42", "argv": ["serve"], "health": 200, "role": role,
        }  # fmt: skip
    plain.sagemaker.delete_endpoint(EndpointName=endpoint)
    until(lambda: engine.containers() == [] or None)


def test_a_container_outlives_the_server(plain: Workbench, engine: Podman, role: str, trainer: str) -> None:
    algorithm = {
        "ContainerEntrypoint": [
            "/bin/sh",
            "-c",
            "echo BEGUN; while test ! -e /opt/ml/model/go; do sleep 0.1; done; echo DONE",
        ]
    }
    name = train(plain, role, trainer, algorithm)
    until(lambda: plain.log(name) == ["BEGUN"] or None)
    plain.server.kill()
    plain.server.start()
    assert len(engine.containers()) == 1
    for place in plain.server.home.glob(f"workloads/**/{name}/**/ml/model"):
        (place / "go").touch()
    assert plain.trained(name)["TrainingJobStatus"] == "Completed"
    assert plain.log(name) == ["BEGUN", "DONE"]


def test_a_stopped_job_leaves_no_container(plain: Workbench, engine: Podman, role: str, trainer: str) -> None:
    script = "trap 'echo TOLD; exit 0' TERM; echo BEGUN; while true; do sleep 0.1; done"
    name = train(plain, role, trainer, {"ContainerEntrypoint": ["/bin/sh", "-c", script]})
    until(lambda: plain.log(name) == ["BEGUN"] or None)
    plain.sagemaker.stop_training_job(TrainingJobName=name)
    assert plain.trained(name)["TrainingJobStatus"] == "Stopped"
    assert plain.log(name) == ["BEGUN", "TOLD"]
    assert engine.containers() == []


@pytest.mark.parametrize(
    ("mode", "command"),
    [("Pipe", "cat /opt/ml/input/data/train_0"), ("FastFile", "cat /opt/ml/input/data/train/rows")],
)
def test_inputs_come_as_they_should(plain: Workbench, role: str, trainer: str, mode: str, command: str) -> None:
    algorithm = {"TrainingInputMode": mode, "ContainerEntrypoint": ["/bin/sh", "-c", command]}
    name = train(plain, role, trainer, algorithm, rows=b"one\ntwo\n")
    job = plain.trained(name)
    assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], plain.log(name))
    assert plain.log(name)[-2:] == ["one", "two"]


def test_isolated_jobs_have_no_network(plain: Workbench, role: str, trainer: str) -> None:
    algorithm = {"ContainerEntrypoint": ["/bin/sh", "-c", "ls /sys/class/net"]}
    name = train(plain, role, trainer, algorithm, EnableNetworkIsolation=True)
    assert plain.trained(name)["TrainingJobStatus"] == "Completed"
    assert plain.log(name) == ["lo"]


def test_processing_brings_its_output_out(plain: Workbench, role: str, trainer: str) -> None:
    name = unique("own")
    output = {"S3Uri": plain.uri(name), "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    script = "mkdir -p /opt/ml/processing/out; echo made > /opt/ml/processing/out/file"
    plain.sagemaker.create_processing_job(
        ProcessingJobName=name, RoleArn=role,
        AppSpecification={"ImageUri": trainer, "ContainerEntrypoint": ["/bin/sh", "-c", script]},
        ProcessingOutputConfig={"Outputs": [{"OutputName": "o", "S3Output": output}]},
        ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
    )  # fmt: skip
    describe = plain.sagemaker.describe_processing_job
    job = until(lambda: ended(describe(ProcessingJobName=name), "ProcessingJobStatus"))
    assert job["ProcessingJobStatus"] == "Completed", job
    body = plain.s3.get_object(Bucket=plain.bucket, Key=f"{name}/file")["Body"].read()
    assert body == b"made\n"


def test_several_hosts_know_each_other(plain: Workbench, role: str, trainer: str) -> None:
    script = "read name < /etc/hostname; cat /etc/hosts > /opt/ml/model/$name"
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    name = train(plain, role, trainer, {"ContainerEntrypoint": ["/bin/sh", "-c", script]}, ResourceConfig=cluster)
    job = plain.trained(name)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(plain.uri(""))
    packed = plain.s3.get_object(Bucket=plain.bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert sorted(tar.getnames()) == ["algo-1", "algo-2"]
        for file in map(tar.extractfile, tar):
            assert file is not None
            lines = [line.split() for line in file.read().decode().splitlines() if line.startswith("127.")]
            assert {"algo-1", "algo-2"} <= {line[-1] for line in lines}


def test_an_engine_may_be_chosen_beside_sandboxes(engine: Podman, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"CLARY_CONTAINERS": f"unix://{engine.socket}"}
    server = ClaryServer(short_home(tmp_path_factory), settings=settings)
    server.start()
    try:
        bench = Workbench(server)
        ecr = server.client("ecr")
        with sender(server.port) as send:
            what = image(rootfs.shell(), layer(("bin/train-it", TRAIN)), Entrypoint=["/bin/train-it"])
            uri = pushed(Registry.of(send, ecr), ecr, what)
        name = train(bench, bench.new_role(allow(["s3:*", *PULL])), uri, {"TrainingInputMode": "FastFile"})
        job = bench.trained(name)
        assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], bench.log(name))
        script = bench.train("print('UNDER', open('/proc/1/comm').read())")
        assert bench.trained(script)["TrainingJobStatus"] == "Completed"
        assert engine.engine.has_image(f"localhost/clary:{what.digest.partition(':')[2]}")
    finally:
        server.stop()


def test_the_doctor_tells_which_engine_runs_images(plain: Workbench, engine: Podman) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clary.cli", "doctor", "--home", str(plain.server.home)],
        env={**os.environ, **plain.server.settings}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert f"run in the container engine at {engine.socket}" in done.stdout
