"""What a hostile job tries: to have the platform read or write files for it that are not its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.workbench import SKLEARN, allow, ended, unique, until

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench

LIMIT_S = 20


def shell(bench: Workbench, commands: str, **options: Any) -> dict[str, Any]:
    """How a job of some shell commands has ended."""
    algorithm = {
        "TrainingImage": SKLEARN,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["bash", "-c", commands],
        **options.pop("algorithm", {}),
    }
    return bench.trained(bench.train("", AlgorithmSpecification=algorithm, HyperParameters={}, **options), LIMIT_S)


def channel(uri: str, data_type: str = "S3Prefix", **options: Any) -> list[dict[str, Any]]:
    source = {"S3DataSource": {"S3DataType": data_type, "S3Uri": uri}}
    return [{"ChannelName": "train", "DataSource": source, **options}]


def objects(bench: Workbench, prefix: str) -> list[str]:
    listed = bench.s3.list_objects_v2(Bucket=bench.bucket, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", ())]


@pytest.mark.parametrize("target", ["{home}/credentials", "/etc/passwd", "/dev/zero", "failure"])
def test_the_reason_of_a_failure_is_no_window(bench: Workbench, target: str) -> None:
    path = target.format(home=bench.server.home)
    job = shell(bench, f"ln -s {path} /opt/ml/output/failure; exit 3")
    assert job["FailureReason"] == "AlgorithmError: , exit code: 3"


def test_a_pipe_as_reason_holds_nobody_up(bench: Workbench) -> None:
    assert shell(bench, "mkfifo /opt/ml/output/failure; exit 3")["TrainingJobStatus"] == "Failed"


def test_checkpoints_that_lead_out_are_not_uploaded(bench: Workbench) -> None:
    prefix = unique("checkpoints")
    job = shell(
        bench,
        f"rmdir /opt/ml/checkpoints; ln -s {bench.server.home} /opt/ml/checkpoints",
        CheckpointConfig={"S3Uri": bench.uri(prefix)},
    )
    assert (job["TrainingJobStatus"], "/opt/ml/checkpoints is a link" in job["FailureReason"]) == ("Failed", True)
    assert objects(bench, prefix) == []


def test_links_in_a_model_stay_links(bench: Workbench) -> None:
    job = shell(
        bench,
        f"ln -s {bench.server.home}/credentials /opt/ml/model/stolen; echo x > /opt/ml/model/own",
        OutputDataConfig={"S3OutputPath": bench.uri("plain"), "CompressionType": "NONE"},
    )
    assert job["TrainingJobStatus"] == "Completed"
    assert objects(bench, f"plain/{job['TrainingJobName']}/") == [f"plain/{job['TrainingJobName']}/output/model/own"]


@pytest.mark.parametrize("name", ["/stolen", "../stolen", "a/../../../stolen"])
def test_a_manifest_cannot_name_files_of_the_platform(bench: Workbench, name: str) -> None:
    outside = bench.server.home / unique("outside")
    name = name.replace("/stolen", f"{outside}" if name.startswith("/") else f"/{outside.name}")
    bench.put(f"data/{name}", "x")
    manifest = bench.put(unique("manifest"), json.dumps([{"prefix": bench.uri("data/")}, name]))
    job = shell(bench, "true", InputDataConfig=channel(manifest, "ManifestFile"))
    assert "does not name a file within a folder" in job["FailureReason"]
    assert not outside.exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a", "a/b"], "is both a file and a folder"),
        (["x" * 300], "does not name a file within a folder"),
        (["../up"], "does not name a file within a folder"),
    ],
)
def test_keys_that_are_no_files_fail_the_job(bench: Workbench, keys: list[str], said: str) -> None:
    prefix = unique("keys")
    for key in keys:
        bench.put(f"{prefix}/{key}", "x")
    job = shell(bench, "true", InputDataConfig=channel(bench.uri(f"{prefix}/")))
    assert said in job["FailureReason"]


def test_what_is_no_gzip_fails_the_job(bench: Workbench) -> None:
    uri = bench.put(f"{unique('gzip')}/file.gz", "plain")
    job = shell(bench, "true", InputDataConfig=channel(uri, CompressionType="Gzip"))
    assert "is no gzip file" in job["FailureReason"]


def test_outputs_of_processing_that_lead_out_are_not_uploaded(bench: Workbench) -> None:
    name, prefix = unique("processing"), unique("out")
    output = {
        "OutputName": "o",
        "S3Output": {
            "S3Uri": bench.uri(prefix),
            "LocalPath": "/opt/ml/processing/a/b",
            "S3UploadMode": "EndOfJob",
        },
    }
    script = (
        f"rm -r /opt/ml/processing/a; mkdir -p {bench.server.home}/b; ln -s {bench.server.home} /opt/ml/processing/a;"
        f"mkdir -p /opt/ml/output; ln -s {bench.server.home}/credentials /opt/ml/output/message"
    )
    bench.sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=bench.role,
        AppSpecification={"ImageUri": SKLEARN, "ContainerEntrypoint": ["bash", "-c", script]},
        ProcessingOutputConfig={"Outputs": [output]},
        ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
    )
    job = until(
        lambda: ended(bench.sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus"), LIMIT_S
    )
    assert job["ProcessingJobStatus"] == "Failed"
    assert "ExitMessage" not in job
    assert objects(bench, prefix) == []


LOOK = """
import contextlib, glob, os, pathlib
home, process = {home!r}, {process}
for name in ("credentials", "clary.db", "server.json", "workloads/*/*/*/*/*", "e/*/*", "objects/*", "run/*"):
    for path in glob.glob(f"{{home}}/{{name}}"):
        print("sees", path)
for path in ("/etc/shadow", f"/proc/{{process}}/environ", f"/proc/{{process}}/root"):
    with contextlib.suppress(OSError):
        print("reads", path, os.stat(path))
for path in ("/usr/mine", "/etc/mine", f"{{home}}/mine", "/sys/kernel/mine", "/proc/sys/kernel/hostname"):
    with contextlib.suppress(OSError):
        pathlib.Path(path).write_text("x")
        print("writes", path)
with contextlib.suppress(OSError):
    os.kill(process, 0)
    print("reaches", process)
"""


def test_nothing_of_the_platform_is_in_sight(bench: Workbench) -> None:
    process = bench.server.process
    assert process is not None
    job = bench.train(LOOK.format(home=str(bench.server.home), process=process.pid))
    assert bench.trained(job)["TrainingJobStatus"] == "Completed"
    told = [line for line in bench.log(job) if line.startswith(("sees", "reads", "writes", "reaches"))]
    # The home of these tests lies in /tmp, of which each job has its own.
    assert told in ([], [f"writes {bench.server.home}/mine"])
    assert not (bench.server.home / "mine").exists()


def test_a_metric_that_never_ends_holds_nobody_up(bench: Workbench) -> None:
    metrics = [{"Name": "bomb", "Regex": "(a+)+$"}, {"Name": "good", "Regex": "loss=([0-9.]+)"}]
    line = "a" * 60 + "!"
    job = shell(
        bench, f"echo {line}; echo loss=0.5; echo {line}; echo loss=0.25", algorithm={"MetricDefinitions": metrics}
    )
    assert {entry["MetricName"]: entry["Value"] for entry in job["FinalMetricDataList"]} == {"good": 0.25}


ASK = """
import os, urllib.error, urllib.request
own, secret = (os.environ[f"AWS_CONTAINER_{{name}}"] for name in ("CREDENTIALS_FULL_URI", "AUTHORIZATION_TOKEN"))
for name, word in (("{other}", secret), ("{other}", ""), ("{other}", "\\xe9"), ("absent", secret), ("../iam", secret)):
    try:
        page = own.rpartition("/")[0] + "/" + name
        urllib.request.urlopen(urllib.request.Request(page, headers={{"Authorization": word}}))
        print("let in")
    except urllib.error.HTTPError as error:
        print("status", error.code)
"""


def test_the_secret_of_one_job_opens_no_other_page(bench: Workbench) -> None:
    other = bench.train("import time; time.sleep(30)")
    until(lambda: bench.describe(other)["SecondaryStatus"] == "Training")
    job = bench.train(ASK.format(other=other))
    assert bench.trained(job)["TrainingJobStatus"] == "Completed"
    assert [line for line in bench.log(job) if line.startswith(("let", "status"))] == ["status 403"] * 5
    bench.sagemaker.stop_training_job(TrainingJobName=other)


def test_only_who_may_pass_a_role_can_use_it(bench: Workbench) -> None:
    name = unique("user")
    bench.iam.create_user(UserName=name)
    bench.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allow(["sagemaker:*", "ec2:*", "s3:*"]))
    key = bench.iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    sagemaker = bench.server.client("sagemaker", **keys)
    with pytest.raises(ClientError, match="iam:PassRole"):
        sagemaker.create_training_job(**bench.request("pass"))
    with pytest.raises(ClientError, match="iam:PassRole"):
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=bench.role, PrimaryContainer={"Image": SKLEARN})
    with pytest.raises(ClientError, match="iam:PassRole"):
        sagemaker.create_notebook_instance(NotebookInstanceName=name, InstanceType="ml.t3.medium", RoleArn=bench.role)
