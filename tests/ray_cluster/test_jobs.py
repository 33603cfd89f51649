"""Jobs on the nodes of a Ray cluster, through boto3."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from tests.acceptance.test_clusters import MEET
from tests.acceptance.workbench import SKLEARN, ended, unique, until
from tests.ray_cluster.cluster import told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.workbench import Workbench
    from tests.ray_cluster.cluster import RayCluster

# Goes on when there is an object, which it looks for as its role.
WAIT = """
import os, socket, time
from pathlib import Path
import boto3
from botocore.exceptions import EndpointConnectionError

rows = sum(len(path.read_text().splitlines()) for path in Path(os.environ["SM_CHANNEL_TRAIN"]).iterdir())
print("rows", rows, "at", socket.gethostbyname(socket.gethostname()), flush=True)
s3 = boto3.client("s3")
while True:
    try:
        if s3.list_objects_v2(Bucket=os.environ["BUCKET"], Prefix="go")["KeyCount"]:
            break
    except EndpointConnectionError:  # the platform is being restarted
        pass
    time.sleep(0.1)
for number in range(200):
    print("line", number, flush=True)
    time.sleep(0.01)
Path(os.environ["SM_MODEL_DIR"], "rows").write_text(str(rows))
"""
STOPPED = """
import os, signal, time
from pathlib import Path

def leave(*_):
    Path(os.environ["SM_MODEL_DIR"], "state").write_text("saved")
    raise SystemExit(0)

signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(600)
"""


def channel(bench: Workbench) -> dict[str, Any]:
    for number in range(3):
        bench.put(f"rows/{number}.csv", "1,2\n" * 100)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": bench.uri("rows/")}}
    return {
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
        "Environment": {"BUCKET": bench.bucket},
    }


def model(bench: Workbench, description: dict[str, Any]) -> dict[str, bytes]:
    key = description["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(bench.uri(""))
    packed = bench.s3.get_object(Bucket=bench.bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def test_a_job_runs_through_a_restart_of_the_platform(far: Workbench) -> None:
    bench = far
    name = bench.train(WAIT, **channel(bench))
    until(lambda: "rows 300" in "\n".join(told(bench, name)))
    assert bench.describe(name)["TrainingJobStatus"] == "InProgress"
    bench.server.kill()
    bench.server.start()
    bench.put("go", "")
    description = bench.trained(name)
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    assert model(bench, description) == {"rows": b"300"}
    lines = [line for line in told(bench, name) if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(200)]


def test_hosts_meet_on_different_nodes(far: Workbench) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    name = far.train(MEET + "print(socket.gethostbyname(me))", ResourceConfig=resources)
    description = far.trained(name)
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    heard = {name: json.loads(text) for name, text in model(far, description).items()}
    assert heard == {"algo-1.json": ["algo-2"], "algo-2.json": ["algo-1"]}
    addresses = {line for line in told(far, name) if line.startswith("10.77.0.")}
    assert addresses == {"10.77.0.2", "10.77.0.3"}


def test_a_processing_job_finds_its_input_and_leaves_its_output(far: Workbench) -> None:
    name, path = unique("processing"), "/opt/ml/processing"
    far.put("table/rows.csv", "1\n2\n3\n")
    far.put("table/large.bin", bytes(3_000_000))
    source = {"S3Uri": far.uri("table/"), "LocalPath": f"{path}/input", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    target = {"S3Uri": far.uri("counted/"), "LocalPath": f"{path}/output", "S3UploadMode": "EndOfJob"}
    command = (
        f"wc -l < {path}/input/rows.csv > {path}/output/count; wc -c < {path}/input/large.bin >> {path}/output/count"
    )
    far.sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=far.role,
        AppSpecification={"ImageUri": SKLEARN, "ContainerEntrypoint": ["sh", "-c", command]},
        ProcessingInputs=[{"InputName": "table", "S3Input": source}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "count", "S3Output": target}]},
        ProcessingResources={
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        },
    )
    described = until(
        lambda: ended(far.sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus")
    )
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    counted = far.s3.list_objects_v2(Bucket=far.bucket, Prefix="counted/")["Contents"]
    assert [entry["Key"] for entry in counted] == ["counted/count"]
    assert far.s3.get_object(Bucket=far.bucket, Key="counted/count")["Body"].read() == b"3\n3000000\n"


def test_a_stopped_job_keeps_what_it_saved(far: Workbench) -> None:
    name = far.train(STOPPED)
    until(lambda: "ready" in told(far, name))
    far.sagemaker.stop_training_job(TrainingJobName=name)
    description = far.trained(name)
    assert description["TrainingJobStatus"] == "Stopped"
    assert model(far, description) == {"state": b"saved"}


def test_more_hosts_than_nodes_wait(far: Workbench) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 3, "VolumeSizeInGB": 1}
    name = far.train(STOPPED, ResourceConfig=resources)
    message = "Waiting for nodes: the job has 3 hosts, and 2 nodes of the Ray cluster are large enough"
    until(lambda: message in str(far.describe(name)["SecondaryStatusTransitions"]))
    assert far.describe(name)["SecondaryStatus"] == "Pending"
    far.sagemaker.stop_training_job(TrainingJobName=name)
    assert far.trained(name)["TrainingJobStatus"] == "Stopped"


def test_nothing_is_left_on_the_nodes(far: Workbench, cluster: RayCluster) -> None:
    name = far.train("print('short')")
    assert far.trained(name)["TrainingJobStatus"] == "Completed"
    nodes = cluster.nodes.values()
    until(lambda: not any(left(node.folder) or node.workloads() for node in nodes))


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "kept"] if folder.exists() else []
