"""What a monitoring job looks at and holds it against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.errors import ValidationException
from clary.schedule import offset

from . import kinds
from .jobs import check_role, image, s3_uri
from .kinds import DATA_QUALITY_JOB_DEFINITION, ENDPOINT, PROCESSING_JOB, Family, delete, describe, find, listing

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

DATA_QUALITY = "DataQuality"
LOCAL_ROOT = "/opt/ml/processing"

Definition = dict[str, Any]
"""A definition as controllers read it, however it was given: Baseline, Application, Input, Outputs, Resources, Network,
RoleArn, StoppingCondition and Environment."""


def _of_endpoint(request: Document) -> tuple[tuple[str, str], ...]:
    if "EndpointName" not in request:
        return ()
    return (("DataQualityJobInput.EndpointInput.EndpointName", request["EndpointName"]),)


class DataQualityJobDefinitions(Family):
    """Definitions of jobs that watch over the quality of data."""

    def create_data_quality_job_definition(
        self, ctx: Context, request: api.CreateDataQualityJobDefinitionRequest
    ) -> api.CreateDataQualityJobDefinitionResponse:
        """Checks what can be checked at once and remembers the definition."""
        definition = of_data_quality(request)
        check_definition(self._platform, ctx, definition)
        name = request["JobDefinitionName"]
        observed = {
            "EndpointName": definition["Input"]["EndpointName"],
            # The list calls the same things by other names.
            "MonitoringJobDefinitionName": name,
            "MonitoringJobDefinitionArn": DATA_QUALITY_JOB_DEFINITION.arn(ctx, name),
        }
        record = kinds.create(self._platform, ctx, DATA_QUALITY_JOB_DEFINITION, request, observed=observed)
        return {"JobDefinitionArn": record.arn}

    describe_data_quality_job_definition = describe(DATA_QUALITY_JOB_DEFINITION)
    list_data_quality_job_definitions = listing(DATA_QUALITY_JOB_DEFINITION, _of_endpoint)
    delete_data_quality_job_definition = delete(DATA_QUALITY_JOB_DEFINITION)


def of_data_quality(spec: Members) -> Definition:
    """From a data quality job definition."""
    application = spec["DataQualityAppSpecification"]
    return {
        "Baseline": spec.get("DataQualityBaselineConfig", {}),
        "Application": application,
        "Input": _endpoint_input(spec["DataQualityJobInput"]),
        "Outputs": spec["DataQualityJobOutputConfig"],
        "Resources": spec["JobResources"],
        "Network": spec.get("NetworkConfig"),
        "RoleArn": spec["RoleArn"],
        "StoppingCondition": spec.get("StoppingCondition"),
        "Environment": application.get("Environment", {}),
    }


def of_inline(spec: Document) -> Definition:
    """From the definition within a schedule."""
    return {
        "Baseline": spec.get("BaselineConfig", {}),
        "Application": spec["MonitoringAppSpecification"],
        "Input": _endpoint_input(spec["MonitoringInputs"][0]),
        "Outputs": spec["MonitoringOutputConfig"],
        "Resources": spec["MonitoringResources"],
        "Network": spec.get("NetworkConfig"),
        "RoleArn": spec["RoleArn"],
        "StoppingCondition": spec.get("StoppingCondition"),
        "Environment": spec.get("Environment", {}),
    }


def check_definition(platform: Platform, ctx: Context, definition: Definition) -> None:
    """Refuses a definition that could never run.

    Raises:
        ServiceError: in AWS's words where AWS checks it too.
    """
    check_role(platform, ctx, definition["RoleArn"])
    application = definition["Application"]
    if image(platform, ctx, application["ImageUri"]).process() is None and not application.get("ContainerEntrypoint"):
        raise ValidationException(f"The image {application['ImageUri']} is not for monitoring.")
    find(platform, ctx, ENDPOINT, definition["Input"]["EndpointName"])
    _check_input(definition["Input"])
    _check_baseline(platform, ctx, definition["Baseline"])
    for output in definition["Outputs"]["MonitoringOutputs"]:
        s3_uri(output["S3Output"]["S3Uri"], "MonitoringOutputs.S3Output.S3Uri")
        _check_path(output["S3Output"]["LocalPath"])
    for member in ("RecordPreprocessorSourceUri", "PostAnalyticsProcessorSourceUri"):
        if application.get(member):
            s3_uri(application[member], member)
    if definition["Resources"]["ClusterConfig"]["InstanceCount"] > 1:
        raise ValidationException(
            "Clary runs jobs on one instance so far: InstanceCount greater than 1 is not supported yet."
        )


def _endpoint_input(given: Document) -> Document:
    if "EndpointInput" not in given:
        raise ValidationException("Clary does not support BatchTransformInput yet; give an EndpointInput.")
    found: Document = given["EndpointInput"]
    return found


def _check_input(given: Document) -> None:
    _check_path(given["LocalPath"])
    for member in ("StartTimeOffset", "EndTimeOffset"):
        try:
            offset(given.get(member, "PT0S"))
        except ValueError:
            raise ValidationException(f"{member} {given[member]} is not a valid ISO 8601 duration.") from None


def _check_baseline(platform: Platform, ctx: Context, baseline: Document) -> None:
    for member in ("ConstraintsResource", "StatisticsResource"):
        if baseline.get(member, {}).get("S3Uri"):
            s3_uri(baseline[member]["S3Uri"], f"{member}.S3Uri")
    if "BaseliningJobName" in baseline:
        find(platform, ctx, PROCESSING_JOB, baseline["BaseliningJobName"])


def _check_path(path: str) -> None:
    if not path.startswith(f"{LOCAL_ROOT}/") or ".." in path.split("/"):
        raise ValidationException(f"LocalPath {path} is not valid: it must begin with {LOCAL_ROOT}/.")
