"""Warm pools: what stays of a training job for the next one, on the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.acceptance.workbench import allow, until

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench

# Leaves a line in the folder of the pool, and tells how many are there.
CACHED = """
import os
from pathlib import Path

folder = Path(os.environ["SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"])
assert str(folder) == "/opt/ml/sagemaker/warmpoolcache"
lines = folder / "lines.txt"
with lines.open("a") as file:
    print("a line", file=file)
print("found", len(lines.read_text().splitlines()), flush=True)
"""


def pool(seconds: int, instance_type: str = "ml.m5.large") -> dict[str, Any]:
    resources = {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 3}
    return {"ResourceConfig": {**resources, "KeepAlivePeriodInSeconds": seconds}}


def status(bench: Workbench, name: str) -> str:
    return str(bench.describe(name).get("WarmPoolStatus", {}).get("Status"))


def end(bench: Workbench, name: str) -> None:
    bench.sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    until(lambda: status(bench, name) == "Terminated")


def kept(bench: Workbench, name: str) -> None:
    assert bench.trained(name)["TrainingJobStatus"] == "Completed", bench.log(name)
    until(lambda: status(bench, name) == "Available")


def test_the_next_job_finds_what_the_first_one_left(bench: Workbench) -> None:
    role = bench.new_role(allow("s3:*"))
    first = bench.train(CACHED, RoleArn=role, **pool(600))
    assert status(bench, first) == "InUse"
    kept(bench, first)
    assert "found 1" in bench.log(first)

    bench.server.kill()
    bench.server.start()
    assert status(bench, first) == "Available"
    second = bench.train(CACHED, RoleArn=role, **pool(600))
    told = bench.describe(first)["WarmPoolStatus"]
    assert (told["Status"], told["ReusedByJob"]) == ("Reused", second)
    kept(bench, second)
    assert "found 2" in bench.log(second)

    stranger = bench.train(CACHED, RoleArn=bench.new_role(allow("s3:*")), **pool(600))
    kept(bench, stranger)
    assert "found 1" in bench.log(stranger)

    listed = bench.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available", MaxResults=100)
    assert {second, stranger} <= {job["TrainingJobName"] for job in listed["TrainingJobSummaries"]}
    folders = list((bench.server.home / "warm-pools").glob("*/*/*"))
    assert len(folders) >= 2
    for name in (second, stranger):
        end(bench, name)
    until(lambda: not list((bench.server.home / "warm-pools").glob("*/*/*")))
    assert bench.describe(second)["WarmPoolStatus"]["ResourceRetainedBillableTimeInSeconds"] >= 0


def test_a_pool_ends_by_itself(bench: Workbench) -> None:
    name = bench.train(CACHED, **pool(1))
    assert bench.trained(name)["TrainingJobStatus"] == "Completed"
    until(lambda: status(bench, name) == "Terminated")
