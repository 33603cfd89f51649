"""Jobs of several instances: hosts that know, reach and wait for each other."""

from __future__ import annotations

import io
import json
import tarfile
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from clary.compute.probe import probe
from tests.acceptance.workbench import SKLEARN

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench


@pytest.fixture(autouse=True, scope="module")
def sandboxes() -> None:
    if probe().isolation == "none":
        pytest.skip("several hosts need sandboxes")


# Each host sends its name to every other one and leaves what it heard.
MEET = """
import json, os, socket
from pathlib import Path

hosts, me = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
assert socket.gethostname() == me, socket.gethostname()
server = socket.create_server((me, 7777))
for other in hosts:
    if other != me:
        while True:
            try:
                with socket.create_connection((other, 7777), 10) as peer:
                    peer.sendall(me.encode())
                break
            except ConnectionRefusedError:
                pass
heard = sorted(server.accept()[0].recv(100).decode() for _ in hosts[1:])
Path(os.environ["SM_MODEL_DIR"], f"{me}.json").write_text(json.dumps(heard))
print("heard", *heard, flush=True)
"""

# XGBoost's own distributed mode: a tracker on the first host, each host with its part of the rows.
TRACKED = """
import json, os, socket
import numpy as np, xgboost
from xgboost import collective
from xgboost.tracker import RabitTracker

hosts, me = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
rank, size = hosts.index(me), len(hosts)
tracker, lead = None, socket.gethostbyname(hosts[0])
if rank == 0:
    tracker = RabitTracker(host_ip=lead, n_workers=size, port=9099)
    tracker.start()
with collective.CommunicatorContext(dmlc_tracker_uri=lead, dmlc_tracker_port=9099):
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 5)); y = x[:, 0] * 2 + x[:, 1]
    data = xgboost.DMatrix(x[rank::size], y[rank::size])
    booster = xgboost.train({"max_depth": 3}, data, 20)
    whole = xgboost.DMatrix(x, y)
    print("workers", collective.get_world_size(), booster.eval(whole), flush=True)
    if collective.get_rank() == 0:
        booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"))
if tracker is not None:
    tracker.wait_for()
"""

# PyTorch's collective operations over gloo, set up by the variables that every example sets.
GLOO = """
import json, os
import torch
import torch.distributed as dist

hosts, me = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
os.environ.update(MASTER_ADDR=hosts[0], MASTER_PORT="29500", GLOO_SOCKET_IFNAME=os.environ["SM_NETWORK_INTERFACE_NAME"])
dist.init_process_group("gloo", rank=hosts.index(me), world_size=len(hosts))
total = torch.ones(3) * (hosts.index(me) + 1)
dist.all_reduce(total)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
model(torch.randn(4, 2)).sum().backward()
print("total", total.tolist(), flush=True)
assert total.tolist() == [3.0] * 3
dist.destroy_process_group()
"""

FAIL = """
import os, time
if os.environ["SM_CURRENT_HOST"] == "algo-2":
    raise ValueError("the second host cannot go on")
time.sleep(600)
"""


def cluster(count: int) -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}


def model(bench: Workbench, described: dict[str, Any]) -> dict[str, bytes]:
    key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{bench.bucket}/")
    packed = bench.s3.get_object(Bucket=bench.bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]  # a file


def streams(bench: Workbench, name: str) -> list[str]:
    group = "/aws/sagemaker/TrainingJobs"
    found = bench.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    return sorted(stream["logStreamName"].split("/")[1].rpartition("-")[0] for stream in found)


@pytest.mark.parametrize("isolated", [False, True])
def test_hosts_reach_each_other_by_name_and_leave_one_model(bench: Workbench, isolated: bool) -> None:
    name = bench.train(MEET, ResourceConfig=cluster(3), EnableNetworkIsolation=isolated)
    described = bench.trained(name)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    hosts = {"algo-1", "algo-2", "algo-3"}
    assert {file: set(json.loads(text)) for file, text in model(bench, described).items()} == {
        f"{host}.json": hosts - {host} for host in hosts
    }
    assert streams(bench, name) == sorted(hosts)


def test_xgboost_trains_on_two_hosts(bench: Workbench) -> None:
    name = bench.train(TRACKED, ResourceConfig=cluster(2))
    described = bench.trained(name)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert list(model(bench, described)) == ["model.json"]


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed in Clary's environment")
def test_pytorch_trains_on_two_hosts_with_gloo(bench: Workbench) -> None:
    image = SKLEARN.replace("sagemaker-scikit-learn:1.2-1-cpu-py3", "pytorch-training:2.3-cpu-py311")
    algorithm = {"TrainingImage": image, "TrainingInputMode": "File"}
    described = bench.trained(bench.train(GLOO, ResourceConfig=cluster(2), AlgorithmSpecification=algorithm))
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")


def test_the_failure_of_one_host_ends_the_job_with_its_reason(bench: Workbench) -> None:
    described = bench.trained(bench.train(FAIL, ResourceConfig=cluster(2)))
    assert described["TrainingJobStatus"] == "Failed"
    assert "the second host cannot go on" in described["FailureReason"]
