"""Nodes that die or are cut off, and a platform that its nodes do not reach."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.acceptance.workbench import Workbench, until
from tests.conftest import short_home
from tests.ray_cluster.cluster import AUTHENTICATION, CONNECT_S, HEAD, told
from tests.server import ClaryServer

if TYPE_CHECKING:
    import pytest

    from tests.ray_cluster.cluster import Node, RayCluster

SEEN_S = 30.0
"""Within so long the loss of a node is to be seen."""

# Holds on in the first attempt, which it knows by the checkpoint that is not there.
HOLD = """
import socket, sys, time
from pathlib import Path

state = Path("/opt/ml/checkpoints/state")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.connect(("10.77.0.254", 1))
    here = probe.getsockname()[0]
print("attempt at", here, "after", state.read_text() if state.exists() else "nothing", flush=True)
if not state.exists():
    state.write_text(here)
    while True:
        time.sleep(1)
"""


def place(bench: Workbench, cluster: RayCluster, name: str) -> Node:
    """The node on which the first attempt at a job runs."""
    line = until(lambda: next((line for line in told(bench, name) if line.startswith("attempt at")), None))
    return cluster.node(line.split()[2])


def test_a_node_that_dies_fails_its_job(far: Workbench, whole: RayCluster) -> None:
    name = far.train(HOLD)
    node = place(far, whole, name)
    node.leave()
    died = time.monotonic()
    description = far.trained(name)
    assert time.monotonic() - died < SEEN_S
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"].startswith("InternalServerError: ")


def test_a_job_goes_on_elsewhere_when_its_node_is_cut_off(far: Workbench, whole: RayCluster) -> None:
    checkpoints = {"S3Uri": far.uri("checkpoints")}
    name = far.train(HOLD, RetryStrategy={"MaximumRetryAttempts": 1}, CheckpointConfig=checkpoints)
    node = place(far, whole, name)
    until(lambda: far.s3.list_objects_v2(Bucket=far.bucket, Prefix="checkpoints/state")["KeyCount"])
    assert node.workloads()
    node.cut_off()
    cut = time.monotonic()
    until(lambda: far.describe(name)["SecondaryStatus"] not in {"Training", "Downloading"}, SEEN_S)
    assert time.monotonic() - cut < SEEN_S
    assert not node.workloads()
    description = far.trained(name)
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    attempts = [line.split() for line in told(far, name) if line.startswith("attempt at")]
    assert attempts[1][2] != node.address
    assert attempts[1][4] == node.address


def test_a_platform_that_nodes_do_not_reach_is_told(
    cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"CLARY_COMPUTE": f"ray://{HEAD}:10001", **AUTHENTICATION}
    server = ClaryServer(short_home(tmp_path_factory), settings=settings)
    server.start()
    try:
        bench = Workbench(server)
        description = bench.trained(bench.train("print('never')"), CONNECT_S)
    finally:
        server.stop()
    assert description["TrainingJobStatus"] == "Failed"
    assert "set CLARY_HOST to an address" in description["FailureReason"]
