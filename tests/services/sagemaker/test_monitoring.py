"""Monitoring of an endpoint, from the captured calls to what was found in them."""

from __future__ import annotations

import io
import json
import random
import tarfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ClaryServer

SCIKIT = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
RESOURCES = {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
MODEL = b"""
import numpy as np

def model_fn(folder):
    return None

def predict_fn(rows, model):
    return np.asarray(rows).sum(axis=1)
"""
NOW = {"ScheduleExpression": "NOW", "DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
DONE = {"Completed", "CompletedWithViolations", "Failed", "Stopped"}


class Watched:
    """An endpoint that captures its calls, the baseline of its data, and a role that may read both."""

    def __init__(self, server: ClaryServer) -> None:
        self.sagemaker, self.s3 = server.client("sagemaker"), server.client("s3")
        self.runtime, self.cloudwatch, iam = (
            server.client(name) for name in ("sagemaker-runtime", "cloudwatch", "iam")
        )
        self.name = f"w{uuid.uuid4().hex[:10]}"
        self.bucket = f"watched-{self.name}"
        self.random = random.Random(1)
        self.s3.create_bucket(Bucket=self.bucket)
        self.role: str = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        # It may read and write data, and nothing else: SageMaker itself creates the jobs.
        iam.attach_role_policy(RoleName=self.name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
        self.s3.put_object(Bucket=self.bucket, Key="model.tar.gz", Body=archive())
        self._create_config()
        self._create_baseline()

    def _create_config(self) -> None:
        container = {
            "Image": SCIKIT,
            "ModelDataUrl": f"s3://{self.bucket}/model.tar.gz",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
        }
        self.sagemaker.create_model(ModelName=self.name, ExecutionRoleArn=self.role, PrimaryContainer=container)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": self.name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=self.name,
            ProductionVariants=[variant],
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{self.bucket}/capture",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
            },
        )

    def _create_baseline(self) -> None:
        rows = (self.row() for _ in range(500))
        text = "\n".join(["out,a,b", *(f"{a + b},{a},{b}" for a, b in rows)])
        self.s3.put_object(Bucket=self.bucket, Key="train.csv", Body=text)
        local = "/opt/ml/processing/input/baseline_dataset_input"
        given = {"S3Uri": f"s3://{self.bucket}/train.csv", "LocalPath": local, "S3DataType": "S3Prefix"}
        output = {"LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
        output["S3Uri"] = f"s3://{self.bucket}/baseline"
        self.sagemaker.create_processing_job(
            ProcessingJobName=f"{self.name}-baseline",
            RoleArn=self.role,
            AppSpecification={"ImageUri": ANALYZER},
            ProcessingResources=RESOURCES,
            ProcessingInputs=[{"InputName": "baseline_dataset_input", "S3Input": {**given, "S3InputMode": "File"}}],
            ProcessingOutputConfig={"Outputs": [{"OutputName": "monitoring_output", "S3Output": output}]},
            Environment={
                "dataset_format": '{"csv": {"header": true, "output_columns_position": "START"}}',
                "dataset_source": local,
                "output_path": "/opt/ml/processing/output",
                "publish_cloudwatch_metrics": "Disabled",
            },
        )

    def row(self, shift: float = 0) -> tuple[float, float]:
        return self.random.gauss(10 + shift, 2), self.random.gauss(-5, 1)

    def endpoint(self, suffix: str) -> str:
        name = f"{self.name}-{suffix}"
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=self.name)
        until(lambda: self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"], {"InService", "Failed"})
        return name

    def delete_endpoints(self) -> None:
        """Ends the model servers, which would outlast the platform."""

        def left() -> list[str]:
            found = self.sagemaker.list_endpoints(NameContains=self.name)["Endpoints"]
            return [endpoint["EndpointName"] for endpoint in found]

        for endpoint in left():
            self.sagemaker.delete_endpoint(EndpointName=endpoint)
        until(lambda: "gone" if not left() else "there", {"gone"})

    def call(self, endpoint: str, times: int, shift: float = 0) -> None:
        for _ in range(times):
            a, b = self.row(shift)
            self.runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=f"{a},{b}")

    def definition(self, endpoint: str) -> dict[str, Any]:
        """A definition within a schedule."""
        output = {"S3Uri": f"s3://{self.bucket}/reports", "LocalPath": "/opt/ml/processing/output"}
        return {
            "BaselineConfig": {"BaseliningJobName": f"{self.name}-baseline"},
            "MonitoringInputs": [
                {"EndpointInput": {"EndpointName": endpoint, "LocalPath": "/opt/ml/processing/input/endpoint"}}
            ],
            "MonitoringOutputConfig": {"MonitoringOutputs": [{"S3Output": output}]},
            "MonitoringResources": RESOURCES,
            "MonitoringAppSpecification": {"ImageUri": ANALYZER},
            "RoleArn": self.role,
        }

    def job_definition(self, name: str, endpoint: str) -> dict[str, Any]:
        """The same as a definition of its own."""
        inline = self.definition(endpoint)
        return {
            "JobDefinitionName": name,
            "DataQualityBaselineConfig": inline["BaselineConfig"],
            "DataQualityAppSpecification": inline["MonitoringAppSpecification"],
            "DataQualityJobInput": inline["MonitoringInputs"][0],
            "DataQualityJobOutputConfig": inline["MonitoringOutputConfig"],
            "JobResources": RESOURCES,
            "RoleArn": self.role,
        }

    def schedule(self, name: str, **config: Any) -> None:
        self.sagemaker.create_monitoring_schedule(MonitoringScheduleName=name, MonitoringScheduleConfig=config)

    def executions(self, **filters: Any) -> list[dict[str, Any]]:
        return list(self.sagemaker.list_monitoring_executions(**filters)["MonitoringExecutionSummaries"])

    def execution(self, schedule: str) -> dict[str, Any]:
        """The only execution of a schedule, once it has ended."""

        def status() -> str:
            found = self.executions(MonitoringScheduleName=schedule)
            return str(found[0]["MonitoringExecutionStatus"]) if found else ""

        until(status, DONE)
        (found,) = self.executions(MonitoringScheduleName=schedule)
        return found

    def report(self, execution: dict[str, Any], name: str) -> Any:
        job = self.sagemaker.describe_processing_job(ProcessingJobName=execution["ProcessingJobArn"].split("/")[-1])
        uri = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        key = f"{uri.removeprefix(f's3://{self.bucket}/')}/{name}"
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(MODEL)
        tar.addfile(member, io.BytesIO(MODEL))
    return packed.getvalue()


def until(look: Any, wanted: set[str]) -> None:
    deadline = time.monotonic() + 60
    while (seen := look()) not in wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


@pytest.fixture(scope="module")
def watched(server: ClaryServer) -> Iterator[Watched]:
    watched = Watched(server)
    yield watched
    watched.delete_endpoints()


@pytest.fixture(scope="module")
def called(watched: Watched) -> tuple[str, str]:
    """Two schedules that ran: over data like the baseline's, and over other data."""
    names = (f"{watched.name}-same", f"{watched.name}-drifted")
    for name, shift in zip(names, (0, 8), strict=True):
        endpoint = watched.endpoint(name.rpartition("-")[2])
        watched.call(endpoint, 150, shift)
    watched.sagemaker.create_data_quality_job_definition(**watched.job_definition(names[0], names[0]))
    watched.schedule(names[0], ScheduleConfig=NOW, MonitoringJobDefinitionName=names[0], MonitoringType="DataQuality")
    watched.schedule(names[1], ScheduleConfig=NOW, MonitoringJobDefinition=watched.definition(names[1]))
    return names


def test_data_like_the_baseline_has_no_violations(watched: Watched, called: tuple[str, str]) -> None:
    execution = watched.execution(called[0])
    assert execution["MonitoringExecutionStatus"] == "Completed"
    assert execution["EndpointName"] == execution["MonitoringJobDefinitionName"] == called[0]
    assert watched.report(execution, "constraint_violations.json") == {"violations": []}
    assert watched.report(execution, "statistics.json")["dataset"]["item_count"] == 150


def test_other_data_has_violations(watched: Watched, called: tuple[str, str]) -> None:
    execution = watched.execution(called[1])
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations"
    found = watched.report(execution, "constraint_violations.json")["violations"]
    kinds = {(entry["feature_name"], entry["constraint_check_type"]) for entry in found}
    assert kinds == {("a", "baseline_drift_check"), ("out", "baseline_drift_check")}
    job = watched.sagemaker.describe_processing_job(ProcessingJobName=execution["ProcessingJobArn"].split("/")[-1])
    assert job["ExitMessage"].startswith("CompletedWithViolations: ")
    assert job["RoleArn"] == watched.role


def test_the_schedule_tells_its_last_execution(watched: Watched, called: tuple[str, str]) -> None:
    watched.execution(called[1])
    told = watched.sagemaker.describe_monitoring_schedule(MonitoringScheduleName=called[1])
    assert told["MonitoringScheduleStatus"] == "Scheduled"
    assert told["MonitoringType"] == "DataQuality"
    assert told["EndpointName"] == called[1]
    assert told["LastMonitoringExecutionSummary"]["MonitoringExecutionStatus"] == "CompletedWithViolations"


def test_metrics_come_to_cloudwatch(watched: Watched, called: tuple[str, str]) -> None:
    watched.execution(called[1])
    dimensions = [{"Name": name, "Value": called[1]} for name in ("Endpoint", "MonitoringSchedule")]
    namespace = "aws/sagemaker/Endpoints/data-metrics"
    found = watched.cloudwatch.list_metrics(Namespace=namespace, Dimensions=dimensions)["Metrics"]
    assert {"feature_baseline_drift_a", "feature_non_null_b"} <= {metric["MetricName"] for metric in found}
    end = datetime.now(UTC) + timedelta(minutes=1)
    points = watched.cloudwatch.get_metric_statistics(
        Namespace=namespace, MetricName="feature_baseline_drift_a", Dimensions=dimensions,
        StartTime=end - timedelta(hours=1), EndTime=end, Period=60, Statistics=["Maximum"],
    )["Datapoints"]  # fmt: skip
    assert points[0]["Maximum"] > 0.5


def test_lists_are_filtered_and_paged(watched: Watched, called: tuple[str, str]) -> None:
    for name in called:
        watched.execution(name)
    assert len(watched.executions(EndpointName=called[0])) == 1
    mine = {"ScheduledTimeAfter": datetime(2020, 1, 1, tzinfo=UTC)}
    assert watched.executions(MonitoringScheduleName=called[0], StatusEquals="Failed") == []
    assert watched.executions(MonitoringScheduleName=called[0], ScheduledTimeBefore=mine["ScheduledTimeAfter"]) == []
    both: list[str] = []
    for order in ("Ascending", "Descending"):
        pages = watched.sagemaker.get_paginator("list_monitoring_executions").paginate(
            **mine, SortBy="ScheduledTime", SortOrder=order, PaginationConfig={"PageSize": 1}
        )
        names = [entry["MonitoringScheduleName"] for page in pages for entry in page["MonitoringExecutionSummaries"]]
        both.append("".join(name for name in names if name in called))
    assert both == ["".join(called), "".join(reversed(called))]
    schedules = watched.sagemaker.list_monitoring_schedules(EndpointName=called[1])["MonitoringScheduleSummaries"]
    assert [entry["MonitoringScheduleName"] for entry in schedules] == [called[1]]
    definitions = watched.sagemaker.list_data_quality_job_definitions(EndpointName=called[0])
    (definition,) = definitions["JobDefinitionSummaries"]
    assert definition["MonitoringJobDefinitionName"] == definition["EndpointName"] == called[0]
    assert definition["MonitoringJobDefinitionArn"].endswith(f":data-quality-job-definition/{called[0]}")


def test_an_execution_without_data_says_so(watched: Watched) -> None:
    endpoint = watched.endpoint("silent")
    watched.schedule(endpoint, ScheduleConfig=NOW, MonitoringJobDefinition=watched.definition(endpoint))
    execution = watched.execution(endpoint)
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert "No S3 objects found under S3 URL" in execution["FailureReason"]


def test_a_schedule_is_stopped_started_updated_and_deleted(watched: Watched, called: tuple[str, str]) -> None:
    sagemaker, name = watched.sagemaker, f"{watched.name}-hourly"
    config = {"MonitoringJobDefinition": watched.definition(called[0])}
    watched.schedule(name, ScheduleConfig={"ScheduleExpression": "cron(0 * ? * * *)"}, **config)

    def status() -> str:
        return str(sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)["MonitoringScheduleStatus"])

    until(status, {"Scheduled"})
    sagemaker.stop_monitoring_schedule(MonitoringScheduleName=name)
    assert status() == "Stopped"
    sagemaker.start_monitoring_schedule(MonitoringScheduleName=name)
    until(status, {"Scheduled"})
    daily = {"ScheduleExpression": "cron(0 17/12 ? * * *)"}
    sagemaker.update_monitoring_schedule(
        MonitoringScheduleName=name, MonitoringScheduleConfig={"ScheduleConfig": daily, **config}
    )
    until(status, {"Scheduled"})
    told = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
    assert told["MonitoringScheduleConfig"]["ScheduleConfig"] == daily
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName=name)
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        status()


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"ScheduleExpression": "cron(5 * ? * * *)"}, "Invalid ScheduleExpression"),
        ({"ScheduleExpression": "NOW"}, "must be given together"),
        ({**NOW, "DataAnalysisStartTime": "-P2D"}, "no more than 24 hours"),
        ({**NOW, "DataAnalysisStartTime": "yesterday"}, "not a valid ISO 8601 duration"),
    ],
)
def test_times_that_cannot_be(watched: Watched, called: tuple[str, str], times: dict[str, str], words: str) -> None:
    config = {"ScheduleConfig": times, "MonitoringJobDefinition": watched.definition(called[0])}
    create = watched.sagemaker.create_monitoring_schedule
    code, message = refusal(create, MonitoringScheduleName="x", MonitoringScheduleConfig=config)
    assert (code, words in message) == ("ValidationException", True)


def test_definitions_that_cannot_be(watched: Watched, called: tuple[str, str]) -> None:
    create = watched.sagemaker.create_data_quality_job_definition
    given = watched.job_definition("x", called[0])
    assert "Could not find endpoint" in refusal(create, **watched.job_definition("x", "nowhere"))[1]
    strange = {"ImageUri": SCIKIT}
    assert "is not for monitoring" in refusal(create, **{**given, "DataQualityAppSpecification": strange})[1]
    assert "Could not assume role" in refusal(create, **{**given, "RoleArn": watched.role + "x"})[1]
    batch = {
        "DataCapturedDestinationS3Uri": "s3://b/x",
        "DatasetFormat": {"Csv": {}},
        "LocalPath": "/opt/ml/processing/input",
    }
    words = refusal(create, **{**given, "DataQualityJobInput": {"BatchTransformInput": batch}})[1]
    assert "does not support BatchTransformInput yet" in words


def test_other_kinds_of_monitoring_are_refused_by_name(watched: Watched, called: tuple[str, str]) -> None:
    config = {"ScheduleConfig": NOW, "MonitoringJobDefinitionName": called[0], "MonitoringType": "ModelBias"}
    create = watched.sagemaker.create_monitoring_schedule
    words = refusal(create, MonitoringScheduleName="x", MonitoringScheduleConfig=config)[1]
    assert "does not support the MonitoringType ModelBias yet" in words


def test_what_is_not_there(watched: Watched) -> None:
    sagemaker = watched.sagemaker
    for call, request in (
        (sagemaker.describe_monitoring_schedule, {"MonitoringScheduleName": "nowhere"}),
        (sagemaker.delete_monitoring_schedule, {"MonitoringScheduleName": "nowhere"}),
        (sagemaker.describe_data_quality_job_definition, {"JobDefinitionName": "nowhere"}),
    ):
        assert refusal(call, **request)[0] == "ResourceNotFound"
