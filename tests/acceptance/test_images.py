"""Images of one's own, pushed by the protocol of OCI and run by all kinds of jobs, against a real server."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests import rootfs
from tests.acceptance.workbench import allow, ended, unique, until
from tests.oci import INDEX, MANIFEST, Image, Registry, architecture, image, layer, sender, with_config
from tests.server import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.workbench import Workbench

PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
TRAIN = b"""#!/bin/sh
echo "ARGUMENTS $@ IN $(pwd) WITH $COLOUR $TASTE"
cat /opt/ml/input/data/train/rows > /opt/ml/model/rows
test -z "$FAIL" || { echo "out of luck" > /opt/ml/output/failure; exit 3; }
"""
SERVE = b"""
import http.client, http.server, json, os, sys, urllib.parse, urllib.request
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
        proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
        outside = http.client.HTTPConnection(proxy.hostname, proxy.port)
        outside.set_tunnel("127.0.0.1", int(os.environ["OUTSIDE"]))
        outside.request("GET", "/_clary/health")
        sent = self.rfile.read(int(self.headers["content-length"])).decode()
        model = open("/opt/ml/model/weights").read()
        self.answer(json.dumps({"sent": sent, "model": model, "argv": sys.argv[1:],
                                "health": health, "outside": outside.getresponse().status}).encode())
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def role(bench: Workbench) -> str:
    return bench.new_role(allow(["s3:*", *PULL]))


@pytest.fixture(scope="module")
def ecr(bench: Workbench) -> Any:
    return bench.server.client("ecr")


@pytest.fixture(scope="module")
def registry(bench: Workbench, ecr: Any) -> Iterator[Registry]:
    with sender(bench.server.port) as send:
        yield Registry.of(send, ecr)


def pushed(registry: Registry, ecr: Any, what: Image) -> str:
    """The URI of an image in a repository of its own."""
    name = unique("own")
    uri: str = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
    assert registry.push(name, what, "v1").status == 201
    return f"{uri}:v1"


@pytest.fixture(scope="module")
def trainer(registry: Registry, ecr: Any) -> str:
    script = layer(("bin/train-it", TRAIN))
    config = {"Entrypoint": ["/bin/train-it"], "Cmd": ["by", "default"], "WorkingDir": "/work", "Env": ["COLOUR=green"]}
    return pushed(registry, ecr, image(rootfs.shell(), script, **config))


def train(bench: Workbench, role: str, uri: str, algorithm: dict[str, Any] | None = None, **options: Any) -> str:
    key = unique("data")
    path = f"{key}/rows"
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    bench.s3.upload_fileobj(io.BytesIO(options.pop("rows", b"1,2\n")), bench.bucket, path, Config=config)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": bench.uri(f"{key}/")}}
    name = unique("own")
    bench.sagemaker.create_training_job(
        TrainingJobName=name, RoleArn=role,
        AlgorithmSpecification={"TrainingImage": uri, "TrainingInputMode": "File", **(algorithm or {})},
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": bench.uri("models")},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        **{"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}, **options},
    )  # fmt: skip
    return name


def test_a_training_job_runs_in_its_image(bench: Workbench, role: str, trainer: str) -> None:
    name = train(bench, role, trainer, Environment={"TASTE": "sour"})
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert bench.log(name) == ["ARGUMENTS train IN /work WITH green sour"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")


def test_an_image_is_known_by_aws_names_too(bench: Workbench, role: str, trainer: str) -> None:
    name = trainer.partition("/")[2].partition(":")[0]
    account = role.split(":")[4]
    uri = f"{account}.dkr.ecr.{REGION}.amazonaws.com/{name}:v1"
    job = bench.trained(train(bench, role, uri))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["AlgorithmSpecification"]["TrainingImage"] == uri


@pytest.mark.parametrize("size", [10, 100_000, 20_000_000])
def test_the_user_of_an_image_may_read_inputs_and_write_results(
    bench: Workbench, role: str, registry: Registry, ecr: Any, size: int
) -> None:
    script = layer(("bin/train-it", TRAIN.replace(b"cat ", b"id; cat ")))
    uri = pushed(registry, ecr, image(rootfs.shell(), script, Entrypoint=["/bin/train-it"], User="app"))
    name = train(bench, role, uri, rows=b"x" * size)
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Completed", (job["FailureReason"], bench.log(name))
    assert any("uid=1234(app)" in line for line in bench.log(name)) or os.geteuid() != 0


def test_the_entry_point_may_be_another(bench: Workbench, role: str, trainer: str) -> None:
    algorithm = {"ContainerEntrypoint": ["/bin/sh", "-c"], "ContainerArguments": ["echo ANOTHER"]}
    name = train(bench, role, trainer, algorithm)
    assert bench.trained(name)["TrainingJobStatus"] == "Completed"
    assert bench.log(name) == ["ANOTHER"]


def test_a_failure_is_told_in_the_words_of_the_image(bench: Workbench, role: str, trainer: str) -> None:
    job = bench.trained(train(bench, role, trainer, Environment={"FAIL": "1"}))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: out of luck, exit code: 3"


def test_a_role_must_be_allowed_to_pull(bench: Workbench, trainer: str) -> None:
    job = bench.trained(train(bench, bench.role, trainer))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Cannot pull algorithm container.")
    assert "ecr:BatchGetImage" in job["FailureReason"]


def test_images_that_are_not_here_are_refused_at_once(bench: Workbench, role: str, trainer: str) -> None:
    account = role.split(":")[4]
    for uri, told in (
        (trainer.replace(":v1", ":absent"), "not found"),
        (trainer.replace(":v1", f"@sha256:{'0' * 64}"), "not found"),
        (f"{account}.dkr.ecr.{REGION}.amazonaws.com/nowhere:1", "Cannot find repository: nowhere"),
        ("docker.io/library/python:3.11", "push the image there"),
        ("python:3.11", "push the image there"),
    ):
        with pytest.raises(ClientError, match=told) as caught:
            train(bench, role, uri)
        assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_damaged_image_fails_its_job(bench: Workbench, role: str, registry: Registry, ecr: Any) -> None:
    uri = pushed(registry, ecr, image(layer(("../../etc/evil", b"bad")), Entrypoint=["/x"]))
    job = bench.trained(train(bench, role, uri))
    assert job["FailureReason"] == (
        f"ClientError: The image {uri} cannot be unpacked: ../../etc/evil leads out of the image."
    )


def processed(bench: Workbench, name: str) -> None:
    describe = bench.sagemaker.describe_processing_job
    until(lambda: ended(describe(ProcessingJobName=name), "ProcessingJobStatus"))


def test_what_is_no_image_fails_its_job(bench: Workbench, role: str, registry: Registry, ecr: Any) -> None:
    good = image(rootfs.shell(), Entrypoint=["/bin/true"])
    for config, told in (
        (b"no json", "has no configuration that can be read"),
        (b"[]", "has no configuration that can be read"),
        (b'{"architecture": "s390x"}', "is for s390x, but this machine is"),
        (b'{"config": {}}', ""),
    ):
        uri = pushed(registry, ecr, with_config(good, config))
        algorithm = {} if told else {"ContainerEntrypoint": ["/bin/sh", "-c", "exit 0"]}
        job = bench.trained(train(bench, role, uri, algorithm))
        assert told in job.get("FailureReason", "")
        assert job["TrainingJobStatus"] == ("Failed" if told else "Completed")


def test_a_list_of_images_gives_the_one_for_this_machine(
    bench: Workbench, role: str, registry: Registry, ecr: Any
) -> None:
    one = with_config(image(rootfs.shell()), b'{"config": {"Entrypoint": ["/bin/sh", "-c", "echo CHOSEN"]}}')
    uri = pushed(registry, ecr, one)
    name = uri.partition("/")[2].partition(":")[0]
    for tag, processor, status in (("some", architecture(), "Completed"), ("none", "s390x", "Failed")):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": one.digest, "size": len(one.manifest),
             "platform": {"os": "linux", "architecture": processor}}]}  # fmt: skip
        registry("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(index).encode(), content_type=INDEX)
        job = train(bench, role, uri.replace(":v1", f":{tag}"))
        assert bench.trained(job)["TrainingJobStatus"] == status
        assert bench.log(job) == (["CHOSEN"] if status == "Completed" else [])


def test_a_processing_job_runs_the_command_of_its_image(bench: Workbench, role: str, trainer: str) -> None:
    for options, told in (
        ({"ContainerEntrypoint": ["/bin/sh"], "ContainerArguments": ["-c", "echo own; pwd"]}, ["own", "/work"]),
        ({"ContainerArguments": ["given"]}, ["ARGUMENTS given IN /work WITH green "]),
        ({}, ["ARGUMENTS by default IN /work WITH green "]),
    ):
        name = unique("own")
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        bench.sagemaker.create_processing_job(
            ProcessingJobName=name, RoleArn=role, AppSpecification={"ImageUri": trainer, **options},
            ProcessingResources={"ClusterConfig": cluster},
        )  # fmt: skip
        processed(bench, name)
        assert bench.log(name, "/aws/sagemaker/ProcessingJobs")[: len(told)] == told


def test_an_endpoint_serves_from_its_image(bench: Workbench, role: str, registry: Registry, ecr: Any) -> None:
    system = rootfs.python("http.server", "json", "urllib.request", "socketserver")
    uri = pushed(registry, ecr, image(system, layer(("serve.py", SERVE)), Entrypoint=["python3", "/serve.py"]))
    name = unique("own")
    artefact = bench.put(f"{name}/model.tar.gz", layer(("weights", b"42")))
    bench.sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": uri, "ModelDataUrl": artefact, "Environment": {"OUTSIDE": str(bench.server.port)}},
    )
    endpoint = bench.endpoint(name, InitialInstanceCount=2)
    described = bench.settled(endpoint)
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    for _ in range(4):
        assert json.loads(bench.ask(endpoint, "1,2")) == {
            "sent": "1,2", "model": "42", "argv": ["serve"], "health": 200, "outside": 200,
        }  # fmt: skip
    bench.sagemaker.delete_endpoint(EndpointName=endpoint)
