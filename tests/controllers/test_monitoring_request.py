from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.controllers.monitoring_request import MOST_INPUTS, MonitoringRequest, NoEndpoint
from clary.store.records import Record, Records
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IMAGE = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"


def definition(**changes: Any) -> dict[str, Any]:
    output = {"S3Uri": "s3://b/reports/", "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "Continuous"}
    return {
        "Baseline": {},
        "Application": {"ImageUri": IMAGE},
        "Input": {"EndpointName": "e", "LocalPath": "/opt/ml/processing/input/endpoint"},
        "Outputs": {"MonitoringOutputs": [{"S3Output": output}]},
        "Resources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
        "Network": None,
        "RoleArn": "role",
        "StoppingCondition": None,
        "Environment": {},
        **changes,
    }


def execution(start: datetime = NOON - timedelta(hours=1), end: datetime = NOON, **changes: Any) -> Record:
    spec = {
        "MonitoringScheduleName": "watch",
        "EndpointName": "e",
        "ScheduledTime": NOON.isoformat(),
        "Start": start.isoformat(),
        "End": end.isoformat(),
        "Definition": definition(**changes),
    }
    return Record("monitoring-execution", "1", "r", "model-monitoring-x", "", spec, NOON, NOON)


def endpoint(*variants: str, capture: bool = True) -> Record:
    observed: dict[str, Any] = {"ProductionVariants": [{"VariantName": name} for name in variants or ("v",)]}
    if capture:
        observed["DataCaptureConfig"] = {"DestinationS3Uri": "s3://b/capture/"}
    return Record("endpoint", "1", "r", "e", "arn:e", {}, NOON, NOON, observed=observed)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    database = SqliteDatabase(tmp_path / "db", durable=False)
    yield Records(database)
    database.close()


def captured(request: dict[str, Any]) -> list[str]:
    inputs = [entry["S3Input"] for entry in request["ProcessingInputs"]]
    for entry in inputs:
        folder = entry["S3Uri"].removeprefix("s3://b/capture/")
        assert entry["LocalPath"] == f"/opt/ml/processing/input/endpoint/{folder}"
    return [entry["S3Uri"].removeprefix("s3://b/capture/e/") for entry in inputs]


def test_the_job_of_an_execution(records: Records) -> None:
    request = MonitoringRequest(records, execution(), endpoint()).build(lambda uri: uri.endswith("/11"))
    assert request["ProcessingJobName"] == "model-monitoring-x"
    assert captured(request) == ["v/2026/03/01/11"]
    assert request["ProcessingOutputConfig"]["Outputs"] == [
        {
            "OutputName": "monitoring_output",
            "S3Output": {
                "S3Uri": "s3://b/reports/e/watch/2026/03/01/12",
                "LocalPath": "/opt/ml/processing/output",
                "S3UploadMode": "Continuous",
            },
        }
    ]
    environment = request["Environment"]
    assert json.loads(environment.pop("dataset_format")) == {
        "sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}
    }
    assert environment == {
        "dataset_source": "/opt/ml/processing/input/endpoint",
        "output_path": "/opt/ml/processing/output",
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": "e",
        "sagemaker_monitoring_schedule_name": "watch",
        "sagemaker_endpoint_datacapture_prefix": "s3://b/capture/e",
        "start_time": "2026-03-01T11:00:00Z",
        "end_time": "2026-03-01T12:00:00Z",
    }
    assert "NetworkConfig" not in request


def test_records_of_the_last_seconds_may_lie_in_the_next_hour(records: Records) -> None:
    request = MonitoringRequest(records, execution(), endpoint()).build(lambda _: True)
    assert captured(request) == ["v/2026/03/01/11", "v/2026/03/01/12"]


def test_without_data_one_input_is_left_to_tell_so(records: Records) -> None:
    assert captured(MonitoringRequest(records, execution(), endpoint()).build(lambda _: False)) == ["v/2026/03/01/11"]


@pytest.mark.parametrize("variants", [("v",), ("v", "w"), ("a", "b", "c", "d")])
def test_a_day_fits_into_the_inputs_of_a_job(records: Records, variants: tuple[str, ...]) -> None:
    day = execution(start=NOON - timedelta(days=1))
    request = MonitoringRequest(records, day, endpoint(*variants)).build(lambda _: True)
    assert len(request["ProcessingInputs"]) <= MOST_INPUTS
    days = ("2026/02/28", "2026/03/01")
    assert captured(request) == [f"{variant}/{day}" for variant in variants for day in days]


def test_hours_without_data_leave_room_for_the_others(records: Records) -> None:
    day = execution(start=NOON - timedelta(days=1))
    request = MonitoringRequest(records, day, endpoint()).build(lambda uri: uri.endswith(("/03", "/07")))
    assert captured(request) == ["v/2026/03/01/03", "v/2026/03/01/07"]


def test_a_baseline_by_the_job_that_made_it(records: Records) -> None:
    outputs = [{"OutputName": "o", "S3Output": {"S3Uri": "s3://b/base/"}}]
    job = Record("processing-job", "1", "r", "base", "a", {"ProcessingOutputConfig": {"Outputs": outputs}}, NOON, NOON)
    records.create(job)
    given = execution(Baseline={"BaseliningJobName": "base", "StatisticsResource": {"S3Uri": "s3://other/s.json"}})
    request = MonitoringRequest(records, given, endpoint()).build(lambda uri: uri.endswith("/11"))
    inputs = {entry["InputName"]: entry["S3Input"] for entry in request["ProcessingInputs"]}
    assert inputs["constraints"]["S3Uri"] == "s3://b/base/constraints.json"
    assert inputs["stats"]["S3Uri"] == "s3://other/s.json"
    environment = request["Environment"]
    assert environment["baseline_constraints"] == "/opt/ml/processing/baseline/constraints/constraints.json"
    assert environment["baseline_statistics"] == "/opt/ml/processing/baseline/stats/s.json"


def test_scripts_and_settings_of_the_definition(records: Records) -> None:
    application = {"ImageUri": IMAGE, "RecordPreprocessorSourceUri": "s3://b/code/pre.py"}
    given = execution(
        Application=application,
        Environment={"publish_cloudwatch_metrics": "Disabled"},
        Network={"EnableNetworkIsolation": True},
        Input={"EndpointName": "e", "LocalPath": "/opt/ml/processing/input/endpoint", "StartTimeOffset": "-PT1H"},
    )
    request = MonitoringRequest(records, given, endpoint()).build(lambda _: False)
    assert request["AppSpecification"] == {"ImageUri": IMAGE}
    assert request["NetworkConfig"] == {"EnableNetworkIsolation": True}
    environment = request["Environment"]
    assert environment["record_preprocessor_script"] == "/opt/ml/processing/code/preprocessing/pre.py"
    assert environment["publish_cloudwatch_metrics"] == "Disabled"
    assert environment["start_time"] == "2026-03-01T10:00:00Z"


def test_what_cannot_be_monitored(records: Records) -> None:
    with pytest.raises(NoEndpoint, match="The endpoint e does not exist"):
        MonitoringRequest(records, execution(), None)
    with pytest.raises(NoEndpoint, match="Data capture is not enabled"):
        MonitoringRequest(records, execution(), endpoint(capture=False))
    missing = MonitoringRequest(records, execution(Baseline={"BaseliningJobName": "gone"}), endpoint())
    with pytest.raises(NoEndpoint, match="baselining job gone"):
        missing.build(lambda _: True)
