"""Processing jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.controllers import states
from clary.errors import ValidationException
from clary.quotas import PROCESSING
from clary.services.service import in_thread

from . import kinds
from .jobs import check_instances, check_quota, check_role, delete_finished, finder, s3_uri, stop
from .kinds import PROCESSING_JOB, Family, describe, listing
from .longpoll import held

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context

    from .jobs import ImageFinder

LOCAL_ROOT = "/opt/ml/processing"
NAME_BYTES = 255
"""Longest name of a folder."""


class Processing(Family):
    """Processing jobs: a command over inputs from S3, with outputs to S3."""

    @in_thread
    def create_processing_job(
        self, ctx: Context, request: api.CreateProcessingJobRequest
    ) -> api.CreateProcessingJobResponse:
        """Checks what can be checked at once and hands the job to its controller."""
        check_processing(request, finder(self._platform, ctx))
        check_role(self._platform, ctx, request["RoleArn"], PROCESSING_JOB.arn(ctx, request["ProcessingJobName"]))
        spec = {"StoppingCondition": {"MaxRuntimeInSeconds": 86400}, **request}
        with self._platform.records.together():
            check_quota(self._platform, ctx, PROCESSING, request["ProcessingResources"]["ClusterConfig"])
            record = kinds.create(
                self._platform, ctx, PROCESSING_JOB, spec, status="InProgress", observed={}, due=ctx.now
            )
        return {"ProcessingJobArn": record.arn}

    describe_processing_job = held(PROCESSING_JOB, describe(PROCESSING_JOB))
    list_processing_jobs = listing(PROCESSING_JOB)
    stop_processing_job = stop(PROCESSING_JOB, states.PROCESSING_JOB)
    delete_processing_job = delete_finished(PROCESSING_JOB, states.PROCESSING_JOB)


def check_processing(request: api.CreateProcessingJobRequest, find_image: ImageFinder) -> None:
    """Refuses a processing request that could never run.

    Raises:
        ValidationException: in AWS's words where AWS checks it too.
    """
    check_instances(request["ProcessingResources"]["ClusterConfig"], "ProcessingResources.ClusterConfig")
    find_image(request["AppSpecification"]["ImageUri"])
    inputs = request.get("ProcessingInputs", ())
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    names = [entry["InputName"] for entry in inputs]
    if len(names) != len(set(names)):
        raise ValidationException("ProcessingInputs must have unique input names.")
    for entry in inputs:
        if "S3Input" not in entry:
            raise ValidationException("Clary supports S3Input only; DatasetDefinition is not supported yet.")
        s3_uri(entry["S3Input"]["S3Uri"], f"input {entry['InputName']}")
        _local(entry["S3Input"].get("LocalPath", LOCAL_ROOT))
    for output in outputs:
        if "S3Output" not in output:
            raise ValidationException("Clary supports S3Output only; FeatureStoreOutput is not supported yet.")
        s3_uri(output["S3Output"]["S3Uri"], f"output {output['OutputName']}")
        _local(output["S3Output"].get("LocalPath", LOCAL_ROOT))


def _local(path: str) -> None:
    parts = path.split("/")
    if (path != LOCAL_ROOT and not path.startswith(f"{LOCAL_ROOT}/")) or ".." in parts:
        raise ValidationException(f"LocalPath {path} is not valid: it must begin with {LOCAL_ROOT}.")
    if "\0" in path or any(len(part.encode()) > NAME_BYTES for part in parts):
        raise ValidationException(f"LocalPath {path} is not valid: it names no folder.")
