from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service":
"sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""
SCRIPT = """
import os, time

def model_fn(folder):
    print("loading", os.environ["SAGEMAKER_BATCH"], os.environ.get("SAGEMAKER_BATCH_STRATEGY"), flush=True)
    return os.environ.get("SUFFIX", "")

def transform_fn(suffix, body, content_type, accept):
    text = body.decode() if isinstance(body, bytes) else body
    if "boom" in text:
        raise ValueError("boom is not a number")
    if "slow" in text:
        time.sleep(0.3)
    if "forever" in text:
        time.sleep(60)
    sums = [sum(float(cell) for cell in line.split(",") if cell.strip().isdigit()) for line in text.splitlines()]
    print("asked for", len(sums), flush=True)
    return "\\n".join(f"{total:g}{suffix}" for total in sums), "text/csv"
"""


class Batch:
    """A bucket, a role and a model that adds up the numbers of CSV rows."""

    def __init__(self, server: ClaryServer) -> None:
        self.sagemaker, self.s3, iam = server.client("sagemaker"), server.client("s3"), server.client("iam")
        self.logs = server.client("logs")
        self.bucket = f"batch-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("code/inference.py")
            member.size = len(SCRIPT)
            tar.addfile(member, io.BytesIO(SCRIPT.encode()))
        self.s3.put_object(Bucket=self.bucket, Key="model.tar.gz", Body=archive.getvalue())
        role = f"batch-{uuid.uuid4().hex[:8]}"
        arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
        self.model = f"adder-{uuid.uuid4().hex[:8]}"
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{self.bucket}/model.tar.gz",
            "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            },
        }
        self.sagemaker.create_model(ModelName=self.model, PrimaryContainer=container, ExecutionRoleArn=arn)

    def put(self, **objects: str | bytes) -> str:
        """Stores objects below a new prefix; two underscores in a name stand for a slash."""
        prefix = uuid.uuid4().hex[:8]
        for name, content in objects.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"{prefix}/in/{name.replace('__', '/')}", Body=content)
        return prefix

    def request(self, prefix: str, **options: Any) -> dict[str, Any]:
        s3 = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/{prefix}/in/"}
        source = {"DataSource": {"S3DataSource": s3}, "ContentType": "text/csv", "SplitType": "Line"}
        output = {"S3OutputPath": f"s3://{self.bucket}/{prefix}/out", "Accept": "text/csv", "AssembleWith": "Line"}
        return {
            "TransformJobName": f"job-{uuid.uuid4().hex[:8]}",
            "ModelName": self.model,
            "TransformInput": {**source, **options.pop("source", {})},
            "TransformOutput": {**output, **options.pop("output", {})},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **options,
        }

    def begin(self, request: dict[str, Any]) -> str:
        self.sagemaker.create_transform_job(**request)
        return str(request["TransformJobName"])

    def wait(self, name: str, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        done = until or (lambda seen: seen["TransformJobStatus"] not in {"InProgress", "Stopping"})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            seen: dict[str, Any] = self.sagemaker.describe_transform_job(TransformJobName=name)
            if done(seen):
                return seen
            time.sleep(0.05)
        raise AssertionError(f"still {seen}")

    def run(self, prefix: str, **options: Any) -> dict[str, Any]:
        return self.wait(self.begin(self.request(prefix, **options)))

    def results(self, prefix: str) -> dict[str, str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{prefix}/out/").get("Contents", [])
        return {
            entry["Key"].removeprefix(f"{prefix}/out/"): self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])[
                "Body"
            ]
            .read()
            .decode()
            for entry in listed
        }

    def log(self, name: str) -> list[str]:
        group = "/aws/sagemaker/TransformJobs"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        assert len(streams) == 1
        events = self.logs.get_log_events(
            logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True
        )["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def batch(server: ClaryServer) -> Batch:
    return Batch(server)


def test_every_object_becomes_a_result(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "1,2\n3,4\n", "deep__b.csv": "5,6"})
    told = batch.run(prefix, Tags=[{"Key": "team", "Value": "x"}])
    assert told["TransformJobStatus"] == "Completed"
    assert told["CreationTime"] <= told["TransformStartTime"] <= told["TransformEndTime"]
    assert batch.results(prefix) == {"a.csv.out": "3\n7\n", "deep/b.csv.out": "11\n"}
    assert "FailureReason" not in told
    listed = batch.sagemaker.list_transform_jobs(NameContains=told["TransformJobName"])["TransformJobSummaries"]
    assert [job["TransformJobStatus"] for job in listed] == ["Completed"]
    lines = batch.log(told["TransformJobName"])
    assert any("MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD" in line for line in lines)
    assert "asked for 2" in lines


def test_single_records_and_the_environment_of_the_job(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "1,2\n3,4\n"})
    environment = {"SUFFIX": "!"}
    told = batch.run(prefix, BatchStrategy="SingleRecord", Environment=environment, MaxConcurrentTransforms=2)
    assert batch.results(prefix) == {"a.csv.out": "3!\n7!\n"}
    lines = batch.log(told["TransformJobName"])
    assert lines.count("asked for 1") == 2
    assert "loading true SINGLE_RECORD" in lines


def test_order_is_kept_when_requests_overtake_each_other(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "slow,1\n" + "".join(f"{number},0\n" for number in range(20))})
    batch.run(prefix, BatchStrategy="SingleRecord", MaxConcurrentTransforms=4)
    assert batch.results(prefix)["a.csv.out"].split() == ["1", *map(str, range(20))]


def test_records_are_packed_up_to_the_payload(batch: Batch) -> None:
    row = ",".join(["1"] * 50_000) + "\n"
    prefix = batch.put(**{"a.csv": row * 25})
    told = batch.run(prefix, MaxPayloadInMB=1)
    assert batch.results(prefix) == {"a.csv.out": "50000\n" * 25}
    assert [line for line in batch.log(told["TransformJobName"]) if line.startswith("asked")] == [
        "asked for 10",
        "asked for 10",
        "asked for 5",
    ]


def test_objects_that_are_not_split_and_not_assembled(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "1,2\n3,4\n"})
    batch.run(prefix, source={"SplitType": "None"}, output={"AssembleWith": "None"})
    assert batch.results(prefix) == {"a.csv.out": "3\n7"}


def test_compressed_input(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv.gz": gzip.compress(b"1,2\n")})
    batch.run(prefix, source={"CompressionType": "Gzip"})
    assert batch.results(prefix) == {"a.csv.gz.out": "3\n"}


def test_one_object_by_its_key(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "1,2\n"})
    s3 = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{batch.bucket}/{prefix}/in/a.csv"}
    batch.run(prefix, source={"DataSource": {"S3DataSource": s3}})
    assert batch.results(prefix) == {"a.csv.out": "3\n"}


def test_predictions_are_joined_to_their_input(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "x,1,2\ny,3,4\n"})
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    batch.run(prefix, DataProcessing=processing)
    assert batch.results(prefix) == {"a.csv.out": "x,3\ny,7\n"}


def test_what_the_model_refuses_fails_the_job(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "1,2\n", "b.csv": "boom\n"})
    told = batch.run(prefix, ModelClientConfig={"InvocationsMaxRetries": 1, "InvocationsTimeoutInSeconds": 20})
    assert told["TransformJobStatus"] == "Failed"
    assert told["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert batch.results(prefix) == {"a.csv.out": "3\n"}
    lines = batch.log(told["TransformJobName"])
    assert any(f"{batch.bucket}/{prefix}/in/b.csv: ValueError: boom is not a number" in line for line in lines)
    assert sum(line.startswith("ValueError: boom") for line in lines) == 2


def test_a_model_that_takes_too_long_fails_the_job(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "forever\n"})
    told = batch.run(prefix, ModelClientConfig={"InvocationsMaxRetries": 0, "InvocationsTimeoutInSeconds": 1})
    assert told["FailureReason"] == "AlgorithmError: See job logs for more information"


def test_missing_input_fails_the_job(batch: Batch) -> None:
    told = batch.run("nowhere")
    assert told["TransformJobStatus"] == "Failed"
    assert "No S3 objects found" in told["FailureReason"]


def test_the_role_of_the_model_must_be_allowed_to_write(batch: Batch, server: ClaryServer) -> None:
    prefix = batch.put(**{"a.csv": "1,2\n"})
    role = batch.sagemaker.describe_model(ModelName=batch.model)["ExecutionRoleArn"].rpartition("/")[2]
    denial = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{batch.bucket}/{prefix}/out/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denial]})
    server.client("iam").put_role_policy(RoleName=role, PolicyName="read-only", PolicyDocument=document)
    told = batch.run(prefix)
    assert told["TransformJobStatus"] == "Failed"
    assert "AccessDenied" in told["FailureReason"]


def test_stop_ends_the_job(batch: Batch) -> None:
    prefix = batch.put(**{"a.csv": "forever\n"})
    name = batch.begin(batch.request(prefix))
    batch.wait(name, lambda seen: "TransformStartTime" in seen)
    batch.sagemaker.stop_transform_job(TransformJobName=name)
    assert batch.wait(name)["TransformJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        batch.sagemaker.stop_transform_job(TransformJobName=name)


def test_a_killed_platform_goes_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    try:
        batch = Batch(server)
        prefix = batch.put(**{"a.csv": "slow,1\n" * 5, "b.csv": "2\n"})
        name = batch.begin(batch.request(prefix, BatchStrategy="SingleRecord"))
        batch.wait(name, lambda _: "asked for 1" in _lines(batch, name))
        server.kill()
        server.start()
        assert batch.wait(name)["TransformJobStatus"] == "Completed"
        assert batch.results(prefix) == {"a.csv.out": "1\n" * 5, "b.csv.out": "2\n"}
    finally:
        server.stop()


def _lines(batch: Batch, name: str) -> list[str]:
    try:
        return batch.log(name)
    except (ClientError, AssertionError):
        return []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": {"SplitType": "TFRecord"}}, "TFRecord"),
        ({"MaxPayloadInMB": 50, "MaxConcurrentTransforms": 3}, "must not exceed 100 MB"),
        ({"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}, "InstanceCount"),
        ({"DataProcessing": {"InputFilter": "$..x"}}, "InputFilter is not valid"),
        ({"DataProcessing": {"JoinSource": "Input"}, "output": {"Accept": "application/json"}}, "both be text/csv"),
        ({"ModelName": "missing"}, "Could not find model"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://x/y"}}, "DataCaptureConfig"),
    ],
)
def test_what_cannot_run_is_refused(batch: Batch, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        batch.begin(batch.request("prefix", **options))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
