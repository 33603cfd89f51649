"""Model servers on the nodes of a Ray cluster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.acceptance.workbench import unique, until

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench
    from tests.ray_cluster.cluster import RayCluster

INFERENCE = """
import os, socket

def model_fn(folder):
    return open(os.path.join(folder, "word")).read()

def input_fn(body, content_type):
    return body

def predict_fn(data, model):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.77.0.254", 1))
        return f"{model} {len(data)} {probe.getsockname()[0]}"

def output_fn(answer, accept):
    return answer
"""
FILES = {"word": "hello", "code/inference.py": INFERENCE}
GROUP = "/aws/sagemaker/Endpoints/"


def test_an_endpoint_answers_from_its_nodes(far: Workbench) -> None:
    name = far.endpoint(far.model(FILES), InitialInstanceCount=2)
    description = far.settled(name)
    assert description["EndpointStatus"] == "InService", description.get("FailureReason")
    try:
        # The limit of a request to a real-time endpoint is 25 MB; this one does not fit into any buffer on the way.
        body = b"x" * 5_000_000
        with ThreadPoolExecutor(4) as pool:
            answers = set(pool.map(lambda _: far.ask(name, body), range(20)))
        assert {answer.rpartition(" ")[0] for answer in answers} == {"hello 5000000"}
        assert {answer.rpartition(" ")[2] for answer in answers} == {"10.77.0.2", "10.77.0.3"}
    finally:
        far.sagemaker.delete_endpoint(EndpointName=name)


def test_a_replica_whose_node_dies_is_replaced(far: Workbench, whole: RayCluster) -> None:
    name = far.endpoint(far.model(FILES))
    assert far.settled(name)["EndpointStatus"] == "InService"
    try:
        first = far.ask(name, b"1").split()[2]
        whole.node(first).leave()
        second = until(lambda: answer(far, name))
        assert second != first
    finally:
        far.sagemaker.delete_endpoint(EndpointName=name)


def test_a_batch_is_transformed_on_a_node(far: Workbench) -> None:
    model, name = far.model(FILES), unique("transform")
    far.put("batch/rows.csv", "1\n2\n")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": far.uri("batch/")}}
    far.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=model,
        TransformInput={"DataSource": source, "ContentType": "text/csv"},
        TransformOutput={"S3OutputPath": far.uri("transformed")},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    described = until(lambda: finished(far.sagemaker.describe_transform_job(TransformJobName=name)))
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    body = far.s3.get_object(Bucket=far.bucket, Key="transformed/rows.csv.out")["Body"].read().decode()
    assert body.startswith("hello 4 10.77.0.")


def finished(description: dict[str, str]) -> dict[str, str] | None:
    return None if description["TransformJobStatus"] == "InProgress" else description


def answer(bench: Workbench, endpoint: str) -> str | None:
    try:
        return bench.ask(endpoint, b"1").split()[2]
    except bench.runtime.exceptions.ClientError:
        return None
