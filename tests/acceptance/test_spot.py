"""Managed spot training: interruptions, checkpoints and going on, and retries after errors of the platform."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from clary.agent.bundle import agent_pid
from tests.acceptance.workbench import unique, until

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench

# Counts up to a number in steps that it checkpoints; the first attempt waits for its interruption.
COUNT = """
import os, sys, time
from pathlib import Path

state = Path("{folder}", "step.txt")
step = int(state.read_text()) if state.exists() else 0
print("begins at", step, flush=True)
first = step == 0
while step < 5:
    step += 1
    state.write_text(str(step))
    if first and step == 3:
        print("waits", flush=True)
        time.sleep(600)
Path(os.environ["SM_MODEL_DIR"], "step.txt").write_text(str(step))
print("ends at", step, flush=True)
"""
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900},
}


def checkpoints(bench: Workbench, **more: str) -> dict[str, Any]:
    return {"CheckpointConfig": {"S3Uri": bench.uri(unique("checkpoints")), **more}}


def interrupt(bench: Workbench, name: str) -> str:
    command = [sys.executable, "-m", "clary.cli", "interrupt", name, "--home", str(bench.server.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def statuses(described: dict[str, Any]) -> list[str]:
    return [entry["Status"] for entry in described["SecondaryStatusTransitions"]]


def lines(bench: Workbench, name: str) -> list[str]:
    """What the job told in all attempts, each of which has a stream of its own."""
    group = "/aws/sagemaker/TrainingJobs"
    found = bench.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    return [
        event["message"]
        for stream in found
        for event in bench.logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]


def waiting(bench: Workbench, name: str) -> bool:
    return "waits" in bench.log(name)


def test_an_interrupted_job_goes_on_from_its_checkpoint(bench: Workbench) -> None:
    options = {**SPOT, **checkpoints(bench, LocalPath="/opt/ml/kept/here")}
    name = bench.train(COUNT.format(folder="/opt/ml/kept/here"), **options)
    until(lambda: waiting(bench, name))
    assert "is interrupted" in interrupt(bench, name)
    described = bench.trained(name)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    seen = statuses(described)
    assert seen[seen.index("Interrupted") :] == [
        "Interrupted", "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    told = lines(bench, name)
    assert "begins at 3" in told
    assert "ends at 5" in told
    assert described["TrainingTimeInSeconds"] >= 2
    assert "is Completed" in interrupt(bench, name)


def test_only_managed_spot_jobs_are_interrupted(bench: Workbench) -> None:
    name = bench.train(COUNT.format(folder="/opt/ml/checkpoints"))
    assert "no managed spot training job" in interrupt(bench, name)
    assert "there is no training job" in interrupt(bench, "nobody")
    bench.sagemaker.stop_training_job(TrainingJobName=name)
    assert bench.trained(name)["TrainingJobStatus"] == "Stopped"


def test_checkpoints_are_in_s3_while_the_job_runs(bench: Workbench) -> None:
    name = bench.train(COUNT.format(folder="/opt/ml/checkpoints"), **checkpoints(bench))
    until(lambda: kept(bench, name) == b"3")
    bench.sagemaker.stop_training_job(TrainingJobName=name)
    assert bench.trained(name)["TrainingJobStatus"] == "Stopped"


def kept(bench: Workbench, name: str) -> bytes:
    prefix = bench.describe(name)["CheckpointConfig"]["S3Uri"].removeprefix(bench.uri(""))
    if not bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix=prefix)["KeyCount"]:
        return b""
    body: bytes = bench.s3.get_object(Bucket=bench.bucket, Key=f"{prefix}/step.txt")["Body"].read()
    return body


def test_a_link_among_the_checkpoints_leads_nowhere(bench: Workbench) -> None:
    script = "import os; os.symlink('/etc/passwd', '/opt/ml/checkpoints/a'); open('/opt/ml/checkpoints/b', 'w').close()"
    name = bench.train(script, CheckpointConfig={"S3Uri": bench.uri("linked")})
    assert bench.trained(name)["TrainingJobStatus"] == "Completed"
    listed = bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix="linked/")
    assert [entry["Key"] for entry in listed["Contents"]] == ["linked/b"]


def test_intermediate_output_is_in_s3_while_the_job_runs(bench: Workbench) -> None:
    script = """
import os, time
open(os.environ["SM_OUTPUT_INTERMEDIATE_DIR"] + "/loss.txt", "w").write("0.5")
os.rename("/opt/ml/output/data", "/opt/ml/output/moved")
os.symlink("/etc", "/opt/ml/output/data")
time.sleep(600)
"""
    name = bench.train(script)
    key = f"models/{name}/output/intermediate/loss.txt"
    until(lambda: bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix=key)["KeyCount"])
    bench.sagemaker.stop_training_job(TrainingJobName=name)
    assert bench.trained(name)["TrainingJobStatus"] in {"Stopped", "Failed"}
    listed = bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix=f"models/{name}/")["Contents"]
    assert not any("passwd" in entry["Key"] for entry in listed)


def test_a_job_whose_processes_were_lost_is_retried(bench: Workbench) -> None:
    options = {"RetryStrategy": {"MaximumRetryAttempts": 1}, **checkpoints(bench)}
    name = bench.train(COUNT.format(folder="/opt/ml/checkpoints"), **options)
    until(lambda: kept(bench, name) == b"3")
    folder = bench.server.home / "workloads" / "training-job" / "000000000000" / "us-east-1" / name
    os.kill(agent_pid(folder / "attempt-1" / "algo-1") or 0, signal.SIGKILL)
    described = bench.trained(name)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert "Restarting" in statuses(described)


def test_a_spot_job_ends_when_it_has_waited_too_long(bench: Workbench) -> None:
    limits = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
    script = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(1)); time.sleep(600)"
    name = bench.train(script, EnableManagedSpotTraining=True, StoppingCondition=limits)
    described = bench.trained(name)
    assert described["TrainingJobStatus"] == "Stopped"
    assert described["SecondaryStatus"] in {"MaxWaitTimeExceeded", "MaxRuntimeExceeded"}
