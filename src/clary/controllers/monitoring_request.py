"""The processing job of a monitoring execution, as the analyzer's contract wants it.

Source: "Container contract inputs" and "Container contract outputs", SageMaker developer guide, Model Monitor.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from clary.schedule import HOUR, offset

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.store.records import Record, Records

MOST_INPUTS = 10
"""As many inputs as a processing job may have."""

ROOT = "/opt/ml/processing"
CONSTRAINTS = "constraints.json"
STATISTICS = "statistics.json"
CAPTURE_FORMAT = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}

Input = dict[str, Any]


class NoEndpoint(Exception):
    """The endpoint is gone or captures nothing."""


class MonitoringRequest:
    """Builds the CreateProcessingJob request of one execution."""

    def __init__(self, records: Records, execution: Record, endpoint: Record | None) -> None:
        if endpoint is None:
            raise NoEndpoint(f"The endpoint {execution.spec['EndpointName']} does not exist.")
        capture = endpoint.observed.get("DataCaptureConfig")
        if not capture:
            raise NoEndpoint(f"Data capture is not enabled for the endpoint {endpoint.name}.")
        self._records = records
        self._execution = execution
        self._endpoint = endpoint
        self._prefix: str = capture["DestinationS3Uri"].rstrip("/")
        self._definition: dict[str, Any] = execution.spec["Definition"]
        given = self._definition["Input"]
        self._start = datetime.fromisoformat(execution.spec["Start"]) + offset(given.get("StartTimeOffset", "PT0S"))
        self._end = datetime.fromisoformat(execution.spec["End"]) + offset(given.get("EndTimeOffset", "PT0S"))

    def build(self, has_any: Callable[[str], bool]) -> dict[str, Any]:
        """The whole request; `has_any` tells whether there are objects below a prefix."""
        baseline, scripts = self._baseline(), self._scripts()
        files = [*baseline.values(), *scripts.values()]
        application = self._definition["Application"]
        names = ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
        request = {
            "ProcessingJobName": self._execution.name,
            "ProcessingInputs": [*self._captured(has_any, MOST_INPUTS - len(files)), *files],
            "ProcessingOutputConfig": self._outputs(),
            "ProcessingResources": self._definition["Resources"],
            "StoppingCondition": self._definition["StoppingCondition"] or {"MaxRuntimeInSeconds": 3600},
            "AppSpecification": {name: application[name] for name in names if name in application},
            "Environment": self._environment({**baseline, **scripts}),
            "RoleArn": self._definition["RoleArn"],
        }
        return {**request, "NetworkConfig": self._definition["Network"]} if self._definition["Network"] else request

    def _captured(self, has_any: Callable[[str], bool], room: int) -> list[Input]:
        """The captured data of the window by hour; by day or month when a job cannot have so many inputs.

        Without any data the first hour is left, so that the job tells what it did not find.
        """
        variants = [variant["VariantName"] for variant in self._endpoint.observed.get("ProductionVariants", ())]
        folders: list[str] = []
        for layout in ("%Y/%m/%d/%H", "%Y/%m/%d", "%Y/%m"):
            spans = dict.fromkeys(hour.strftime(layout) for hour in _hours(self._start, self._end))
            all_folders = [f"{self._endpoint.name}/{variant}/{span}" for variant, span in product(variants, spans)]
            folders = [folder for folder in all_folders if has_any(f"{self._prefix}/{folder}")] or all_folders[:1]
            if len(folders) <= room:
                break
        local = self._definition["Input"]["LocalPath"].rstrip("/")
        return [
            _input(f"endpoint_input_{number}", f"{self._prefix}/{folder}", f"{local}/{folder}")
            for number, folder in enumerate(folders, 1)
        ]

    def _baseline(self) -> dict[str, Input]:
        """The baseline's files by the variable that names them."""
        baseline = self._definition["Baseline"]
        job = baseline.get("BaseliningJobName")
        of_job = self._job_output(job) if job else ""
        found: dict[str, Input] = {}
        for variable, resource, file, folder in (
            ("baseline_constraints", "ConstraintsResource", CONSTRAINTS, "constraints"),
            ("baseline_statistics", "StatisticsResource", STATISTICS, "stats"),
        ):
            uri = baseline.get(resource, {}).get("S3Uri") or (f"{of_job}/{file}" if of_job else "")
            if uri:
                found[variable] = _input(folder, uri, f"{ROOT}/baseline/{folder}")
        return found

    def _job_output(self, name: str) -> str:
        job = self._records.get("processing-job", self._execution.account, self._execution.region, name)
        outputs = job.spec.get("ProcessingOutputConfig", {}).get("Outputs", ()) if job else ()
        if not outputs:
            raise NoEndpoint(f"The baselining job {name} does not exist or has no output.")
        uri: str = outputs[0]["S3Output"]["S3Uri"]
        return uri.rstrip("/")

    def _scripts(self) -> dict[str, Input]:
        application = self._definition["Application"]
        return {
            variable: _input(folder, application[member], f"{ROOT}/code/{folder}")
            for variable, member, folder in (
                ("record_preprocessor_script", "RecordPreprocessorSourceUri", "preprocessing"),
                ("post_analytics_processor_script", "PostAnalyticsProcessorSourceUri", "postprocessing"),
            )
            if application.get(member)
        }

    def _outputs(self) -> dict[str, Any]:
        spec, given = self._execution.spec, self._definition["Outputs"]
        scheduled = datetime.fromisoformat(spec["ScheduledTime"])
        folder = f"{spec['EndpointName']}/{spec['MonitoringScheduleName']}/{scheduled:%Y/%m/%d/%H}"
        outputs = [
            {
                "OutputName": "monitoring_output" if number == 0 else f"monitoring_output_{number}",
                "S3Output": {
                    "S3UploadMode": "EndOfJob",
                    **output["S3Output"],
                    "S3Uri": f"{output['S3Output']['S3Uri'].rstrip('/')}/{folder}",
                },
            }
            for number, output in enumerate(given["MonitoringOutputs"])
        ]
        return {"Outputs": outputs, **({"KmsKeyId": given["KmsKeyId"]} if given.get("KmsKeyId") else {})}

    def _environment(self, files: dict[str, Input]) -> dict[str, str]:
        output = self._definition["Outputs"]["MonitoringOutputs"][0]["S3Output"]
        return {
            "dataset_format": json.dumps(CAPTURE_FORMAT),
            "dataset_source": self._definition["Input"]["LocalPath"],
            "output_path": output["LocalPath"],
            "publish_cloudwatch_metrics": "Enabled",
            "sagemaker_endpoint_name": self._endpoint.name,
            "sagemaker_monitoring_schedule_name": self._execution.spec["MonitoringScheduleName"],
            "sagemaker_endpoint_datacapture_prefix": f"{self._prefix}/{self._endpoint.name}",
            "start_time": f"{self._start:%Y-%m-%dT%H:%M:%SZ}",
            "end_time": f"{self._end:%Y-%m-%dT%H:%M:%SZ}",
            **{variable: _path(given) for variable, given in files.items()},
            **self._definition["Environment"],
        }


def _hours(start: datetime, end: datetime) -> list[datetime]:
    """The hours whose folders may hold records of the window: a record is filed by the time at which it was shipped."""
    first = start.replace(minute=0, second=0, microsecond=0)
    count = (end - first) // HOUR + 1
    return [first + timedelta(hours=passed) for passed in range(count)]


def _input(name: str, uri: str, local: str) -> Input:
    s3 = {
        "S3Uri": uri,
        "LocalPath": local,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"InputName": name, "S3Input": s3}


def _path(given: Input) -> str:
    s3 = given["S3Input"]
    return f"{s3['LocalPath']}/{s3['S3Uri'].rsplit('/', 1)[-1]}"
