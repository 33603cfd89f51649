"""Warm pools: what stays of a training job for the next one, on the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.acceptance.workbench import Workbench, allow, ended, until
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    import pytest

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


def test_without_a_sandbox_the_variable_leads_to_the_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_ISOLATION": "none"})
    server.start()
    try:
        bench = Workbench(server)
        script = CACHED.replace('assert str(folder) == "/opt/ml/sagemaker/warmpoolcache"\n', "")
        for number in (1, 2):
            name = bench.train(script, **pool(600))
            kept(bench, name)
            assert f"found {number}" in bench.log(name)
    finally:
        server.stop()


def test_the_training_jobs_of_a_tuning_job_share_a_pool(bench: Workbench) -> None:
    request = bench.request(CACHED + "print('loss=' + os.environ['SM_HP_RATE'] + ';')\n", **pool(600))
    algorithm = {**request["AlgorithmSpecification"], "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}]}
    definition = {
        "StaticHyperParameters": request["HyperParameters"],
        "AlgorithmSpecification": algorithm,
        **{name: request[name] for name in ("RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")},
    }
    definition["RoleArn"] = bench.new_role(allow("s3:*"))
    name = request["TrainingJobName"][:20]
    rates = {"Name": "rate", "MinValue": "0", "MaxValue": "1"}
    bench.sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "ResourceLimits": {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 2},
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ParameterRanges": {"ContinuousParameterRanges": [rates]},
        },
        TrainingJobDefinition=definition,
    )
    describe = bench.sagemaker.describe_hyper_parameter_tuning_job
    until(
        lambda: ended(describe(HyperParameterTuningJobName=name), "HyperParameterTuningJobStatus"),
    )
    listed = bench.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    first, second = sorted(job["TrainingJobName"] for job in listed["TrainingJobSummaries"])
    assert bench.describe(first)["WarmPoolStatus"]["ReusedByJob"] == second
    assert "found 2" in bench.log(second)
    end(bench, second)
