"""Endpoints with real model servers: in service, updated without a gap, rolled back, healed, deleted."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary.agent import bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import ClaryServer

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service":
"sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""
GOOD = """
import os
def model_fn(model_dir):
    return os.environ["VERSION"]
def predict_fn(rows, model):
    return [model, os.getpid()]
def output_fn(answer, accept):
    import json
    return json.dumps(answer), "application/json"
"""
BROKEN = "def model_fn(model_dir):\n    raise ValueError('the weights are gone')\n"
TIMEOUT_S = 60


class Host:
    """Makes models and endpoints in a bucket of its own."""

    def __init__(self, server: ClaryServer) -> None:
        self.sagemaker, self.runtime = server.client("sagemaker"), server.client("sagemaker-runtime")
        self.s3, iam = server.client("s3"), server.client("iam")
        self.home = server.home
        self.tag = uuid.uuid4().hex[:10]
        self.s3.create_bucket(Bucket=f"host-{self.tag}")
        self.role = iam.create_role(RoleName=f"host-{self.tag}", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=f"host-{self.tag}", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")

    def config(self, version: str, script: str = GOOD, **options: Any) -> str:
        """A configuration of one variant whose model answers with its version."""
        name = f"{version}-{self.tag}"
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("code/inference.py")
            member.size = len(script)
            tar.addfile(member, io.BytesIO(script.encode()))
        self.s3.put_object(Bucket=f"host-{self.tag}", Key=f"{name}.tar.gz", Body=archive.getvalue())
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://host-{self.tag}/{name}.tar.gz",
            "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "VERSION": version,
            },
        }
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=self.role, PrimaryContainer=container)
        variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{**variant, **options}])
        return name

    def endpoint(self, config: str) -> str:
        name = f"e-{uuid.uuid4().hex[:10]}"
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name

    def settle(self, name: str) -> dict[str, Any]:
        return self.until(name, lambda found: not found["EndpointStatus"].endswith(("ing", "Back")))

    def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            if holds(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def ask(self, name: str) -> list[Any]:
        answer = self.runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=b"[[1]]")
        told: list[Any] = json.loads(answer["Body"].read())
        return told


@pytest.fixture(scope="module")
def host(server: ClaryServer) -> Host:
    return Host(server)


def test_an_update_leaves_no_gap_and_old_configurations_may_go(host: Host) -> None:
    first, second = host.config("one"), host.config("two")
    name = host.endpoint(first)
    assert host.settle(name)["EndpointStatus"] == "InService"
    assert host.ask(name)[0] == "one"

    answers: list[Any] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                answers.append(host.ask(name)[0])
            except ClientError as error:
                answers.append(error)

    thread = threading.Thread(target=keep_asking)
    thread.start()
    host.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second)
    for gone in (first, second):
        host.sagemaker.delete_endpoint_config(EndpointConfigName=gone)
        host.sagemaker.delete_model(ModelName=gone)
    found = host.settle(name)
    host.until(name, lambda _: answers[-1] == "two")
    stop.set()
    thread.join()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", second)
    assert set(answers) == {"one", "two"}
    host.sagemaker.delete_endpoint(EndpointName=name)


def test_an_update_to_a_broken_model_rolls_back(host: Host) -> None:
    name = host.endpoint(host.config("sound"))
    host.settle(name)
    broken = host.config("broken", BROKEN)
    host.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=broken)
    found = host.settle(name)
    assert found["EndpointStatus"] == "InService"
    assert "did not pass the ping health check" in found["FailureReason"]
    assert "the weights are gone" in found["FailureReason"]
    assert host.ask(name)[0] == "sound"
    host.sagemaker.delete_endpoint(EndpointName=name)


def test_a_new_endpoint_of_a_broken_model_fails_and_can_be_mended(host: Host) -> None:
    name = host.endpoint(host.config("faulty", BROKEN))
    found = host.settle(name)
    assert found["EndpointStatus"] == "Failed"
    assert "the weights are gone" in found["FailureReason"]
    host.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=host.config("mended"))
    assert host.settle(name)["EndpointStatus"] == "InService"
    assert host.ask(name)[0] == "mended"
    host.sagemaker.delete_endpoint(EndpointName=name)


def test_a_killed_server_is_replaced_and_more_are_started(host: Host) -> None:
    name = host.endpoint(host.config("tough"))
    host.settle(name)
    before = replica_processes(name, host)
    os.kill(before[0], signal.SIGKILL)
    host.until(name, lambda _: replica_processes(name, host) not in ([], before) and answers(host, name))
    wish = [{"VariantName": "v", "DesiredInstanceCount": 2, "DesiredWeight": 3.0}]
    host.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wish)
    variant = host.settle(name)["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (2, 3.0)
    assert len(replica_processes(name, host)) == 2
    host.sagemaker.delete_endpoint(EndpointName=name)
    host.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    assert replica_processes(name, host) == []
    with pytest.raises(ClientError, match="not found"):
        host.ask(name)


def answers(host: Host, name: str) -> bool:
    try:
        return bool(host.ask(name))
    except ClientError:
        return False


def replica_processes(name: str, host: Host) -> list[int]:
    """The agents of an endpoint's replicas."""
    agents = [
        bundle.agent_pid(path.parent)
        for path in (host.home / "e").glob(f"*/{bundle.TASK}")
        if f"/{name}/" in json.loads(path.read_text())["workload"]["id"]
    ]
    return [pid for pid in agents if pid is not None]
