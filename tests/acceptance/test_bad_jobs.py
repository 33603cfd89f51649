"""Training jobs that go wrong, each with a reason that names the cause."""

from __future__ import annotations

import io
import tarfile
import time
from typing import TYPE_CHECKING

from tests.acceptance.workbench import Workbench, allow, until

if TYPE_CHECKING:
    from typing import Any


def failed(bench: Workbench, name: str) -> str:
    job = bench.trained(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed"), job.get("FailureReason")
    return str(job["FailureReason"])


def channel(uri: str) -> list[dict[str, Any]]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
    return [{"ChannelName": "train", "DataSource": source}]


def members(bench: Workbench, job: dict[str, Any]) -> dict[str, bytes]:
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"][5:].partition("/")
    content = bench.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {
            member.name: file.read() for member in tar.getmembers() if (file := tar.extractfile(member)) is not None
        }


def test_a_script_that_exits_1(bench: Workbench) -> None:
    name = bench.train("import sys\nprint('about to leave')\nsys.exit(1)\n")
    reason = failed(bench, name)
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError:")
    assert "exit code: 1" in reason
    assert "about to leave" in bench.log(name)
    assert "ModelArtifacts" not in bench.describe(name)


def test_a_script_that_refuses_its_arguments(bench: Workbench) -> None:
    request = bench.request("import argparse\nargparse.ArgumentParser().parse_args()\n")
    request["HyperParameters"]["depth"] = "5"
    bench.sagemaker.create_training_job(**request)
    reason = failed(bench, request["TrainingJobName"])
    assert "unrecognized arguments: --depth 5" in reason
    assert "exit code: 2" in reason


def test_a_script_that_raises(bench: Workbench) -> None:
    reason = failed(bench, bench.train("raise ValueError('the label column is missing')\n"))
    assert "ValueError: the label column is missing" in reason


def test_a_script_with_a_syntax_error(bench: Workbench) -> None:
    assert "SyntaxError" in failed(bench, bench.train("def broken(:\n"))


def test_a_script_that_is_not_in_its_archive(bench: Workbench) -> None:
    request = bench.request("pass\n")
    request["HyperParameters"]["sagemaker_program"] = "other.py"
    bench.sagemaker.create_training_job(**request)
    assert "other.py" in failed(bench, request["TrainingJobName"])


def test_an_archive_that_is_none(bench: Workbench) -> None:
    request = bench.request("pass\n")
    uri = bench.put("code/not-an-archive.tar.gz", b"hello")
    request["HyperParameters"]["sagemaker_submit_directory"] = uri
    bench.sagemaker.create_training_job(**request)
    assert uri in failed(bench, request["TrainingJobName"])


def test_a_script_that_takes_more_memory_than_its_instance_has(bench: Workbench) -> None:
    greedy = "pages = []\nwhile True:\n    pages.append(b'x' * (64 << 20))\n"
    small = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    reason = failed(bench, bench.train(greedy, ResourceConfig=small))
    assert reason.startswith("ClientError: Please use an instance type with more memory")
    assert "ml.t3.medium has 4 GiB" in reason


def test_a_script_that_prints_more_than_anyone_reads(bench: Workbench) -> None:
    lines = 200_000
    chatty = f"import sys\nfor n in range({lines}):\n    sys.stdout.write(f'{{n:07d}} {'x' * 1100}\\n')\n"
    name = bench.train(chatty)
    slowest = 0.0

    def look() -> dict[str, Any] | None:
        nonlocal slowest
        before = time.monotonic()
        job = bench.describe(name)
        slowest = max(slowest, time.monotonic() - before)
        return job if job["TrainingJobStatus"] != "InProgress" else None

    assert until(look, 120)["TrainingJobStatus"] == "Completed"
    assert slowest < 2
    stream = bench.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["logStreams"][0]["logStreamName"]
    last = bench.logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream, limit=5, startFromHead=False
    )["events"]
    assert any("further output is dropped" in event["message"] or "0199999" in event["message"] for event in last)


def test_a_script_that_writes_no_model(bench: Workbench) -> None:
    job = bench.trained(bench.train("print('nothing to keep')\n"))
    assert job["TrainingJobStatus"] == "Completed"
    assert members(bench, job) == {}


def test_a_role_that_may_not_read_the_data(bench: Workbench) -> None:
    code = f"arn:aws:s3:::{bench.bucket}/code/*"
    policy = allow(["s3:ListBucket", "s3:PutObject"], "*").replace(
        '"Statement": [', f'"Statement": [{{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "{code}"}}, '
    )
    uri = bench.put("secret/data.csv", "1,2\n")
    role = bench.new_role(policy)
    reason = failed(bench, bench.train("pass\n", RoleArn=role, InputDataConfig=channel(uri)))
    assert "AccessDenied" in reason
    assert "is not authorized to perform: s3:GetObject on resource" in reason
    assert f"assumed-role/{role.split('/')[-1]}/" in reason


def test_a_role_that_may_not_write_the_model(bench: Workbench) -> None:
    role = bench.new_role(allow(["s3:ListBucket", "s3:GetObject"]))
    reason = failed(bench, bench.train("pass\n", RoleArn=role))
    assert "AccessDenied" in reason
    assert "s3:PutObject" in reason


def test_a_job_that_gets_less_than_its_instance_has_is_told(bench: Workbench) -> None:
    resources = {"InstanceType": "ml.p4d.24xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    name = bench.train("pass\n", ResourceConfig=resources)
    job = bench.trained(name)
    (told,) = (each["StatusMessage"] for each in job["SecondaryStatusTransitions"] if each["Status"] == "Training")
    expected = "ml.p4d.24xlarge has 96 vCPUs, 1152 GiB and 8 GPUs; on this machine the job has"
    assert expected in told
    assert expected in bench.log(name)[0]


def test_a_role_that_loses_its_permissions_while_the_job_runs(bench: Workbench) -> None:
    role = bench.new_role(allow("s3:*"))
    script = """
import time
import boto3, botocore.exceptions
s3 = boto3.client("s3")
print("may", len(s3.list_buckets()["Buckets"]) > 0, flush=True)
while True:
    try:
        s3.list_buckets()
    except botocore.exceptions.ClientError as error:
        print("may not:", error.response["Error"]["Code"], flush=True)
        break
    time.sleep(0.05)
"""
    name = bench.train(script, RoleArn=role)
    until(lambda: "may True" in bench.log(name))
    bench.iam.delete_role_policy(RoleName=role.rpartition("/")[2], PolicyName="work")
    reason = failed(bench, name)
    assert "may not: AccessDenied" in bench.log(name)
    assert "Artifact upload failed" in reason
    assert "s3:PutObject" in reason


def test_data_that_are_not_there(bench: Workbench) -> None:
    reason = failed(bench, bench.train("pass\n", InputDataConfig=channel(bench.uri("no-such-prefix/"))))
    assert f'No S3 objects found under S3 URL "{bench.uri("no-such-prefix/")}"' in reason


def test_a_bucket_that_is_not_there(bench: Workbench) -> None:
    missing = "s3://no-such-bucket-anywhere/data/"
    assert "NoSuchBucket" in failed(bench, bench.train("pass\n", InputDataConfig=channel(missing)))
    output = {"S3OutputPath": "s3://no-such-bucket-anywhere/models"}
    assert "NoSuchBucket" in failed(bench, bench.train("pass\n", OutputDataConfig=output))


def test_a_job_that_runs_too_long(bench: Workbench) -> None:
    name = bench.train("import time\ntime.sleep(600)\n", StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = bench.trained(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert job["TrainingTimeInSeconds"] < 30


PATIENT = """
import os, signal, sys, time
from pathlib import Path

def last_words(*_):
    Path(os.environ["SM_MODEL_DIR"], "checkpoint").write_text("saved late")
    print("saved", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, last_words)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_job_that_is_stopped_may_still_save_its_model(bench: Workbench) -> None:
    name = bench.train(PATIENT)
    until(lambda: bench.describe(name)["SecondaryStatus"] == "Training" and "ready" in bench.log(name))
    bench.sagemaker.stop_training_job(TrainingJobName=name)
    job = bench.trained(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert members(bench, job) == {"checkpoint": b"saved late"}
    assert [line for line in bench.log(name) if line in {"ready", "saved"}] == ["ready", "saved"]
