"""Which permission a SageMaker operation needs, on which resource, with which condition keys.

Source: "Actions, resources, and condition keys for Amazon SageMaker", service authorization reference: an operation
that names a resource is checked against its ARN; one that hands a role over needs iam:PassRole for it as well.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clary.auth.needs import late, pass_role, request_tags, values
from clary.services.service import Check, Document

from .kinds import ALL, ENDPOINT_CONFIG, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.context import Context
    from clary.platform import Platform

_DEFINITION = "MonitoringScheduleConfig.MonitoringJobDefinition"
_TRAINING = ("", "TrainingJobDefinition.", "TrainingJobDefinitions.")
_NETWORKS = ("NetworkConfig", f"{_DEFINITION}.NetworkConfig")
_CLUSTERS = ("ProcessingResources", "JobResources", f"{_DEFINITION}.MonitoringResources")

KEYS: Mapping[str, tuple[str, ...]] = {
    "sagemaker:AcceleratorTypes": ("AcceleratorTypes", "ProductionVariants.AcceleratorType"),
    "sagemaker:DirectInternetAccess": ("DirectInternetAccess",),
    "sagemaker:FileSystemAccessMode": tuple(
        f"{at}InputDataConfig.DataSource.FileSystemDataSource.FileSystemAccessMode" for at in _TRAINING
    ),
    "sagemaker:FileSystemDirectoryPath": tuple(
        f"{at}InputDataConfig.DataSource.FileSystemDataSource.DirectoryPath" for at in _TRAINING
    ),
    "sagemaker:FileSystemId": tuple(
        f"{at}InputDataConfig.DataSource.FileSystemDataSource.FileSystemId" for at in _TRAINING
    ),
    "sagemaker:FileSystemType": tuple(
        f"{at}InputDataConfig.DataSource.FileSystemDataSource.FileSystemType" for at in _TRAINING
    ),
    "sagemaker:InstanceTypes": (
        "InstanceType",
        *(f"{at}ResourceConfig.InstanceType" for at in _TRAINING),
        *(f"{at}ResourceConfig.InstanceGroups.InstanceType" for at in _TRAINING),
        *(f"{at}HyperParameterTuningResourceConfig.InstanceType" for at in _TRAINING),
        "TransformResources.InstanceType",
        "ProductionVariants.InstanceType",
        *(f"{at}.ClusterConfig.InstanceType" for at in _CLUSTERS),
    ),
    "sagemaker:InterContainerTrafficEncryption": (
        *(f"{at}EnableInterContainerTrafficEncryption" for at in _TRAINING),
        *(f"{at}.EnableInterContainerTrafficEncryption" for at in _NETWORKS),
    ),
    "sagemaker:KeepAlivePeriod": tuple(f"{at}ResourceConfig.KeepAlivePeriodInSeconds" for at in _TRAINING),
    "sagemaker:MaxRuntimeInSeconds": (
        *(f"{at}StoppingCondition.MaxRuntimeInSeconds" for at in _TRAINING),
        f"{_DEFINITION}.StoppingCondition.MaxRuntimeInSeconds",
    ),
    "sagemaker:MinimumInstanceMetadataServiceVersion": (
        "InstanceMetadataServiceConfiguration.MinimumInstanceMetadataServiceVersion",
    ),
    "sagemaker:NetworkIsolation": (
        *(f"{at}EnableNetworkIsolation" for at in _TRAINING),
        *(f"{at}.EnableNetworkIsolation" for at in _NETWORKS),
    ),
    "sagemaker:OutputKmsKey": (
        *(f"{at}OutputDataConfig.KmsKeyId" for at in _TRAINING),
        "TransformOutput.KmsKeyId",
        "DataCaptureConfig.KmsKeyId",
        "AsyncInferenceConfig.OutputConfig.KmsKeyId",
        "ProcessingOutputConfig.KmsKeyId",
        f"{_DEFINITION}.MonitoringOutputConfig.KmsKeyId",
    ),
    "sagemaker:RootAccess": ("RootAccess",),
    "sagemaker:ServerlessMaxConcurrency": ("ProductionVariants.ServerlessConfig.MaxConcurrency",),
    "sagemaker:ServerlessMemorySize": ("ProductionVariants.ServerlessConfig.MemorySizeInMB",),
    "sagemaker:VolumeKmsKey": (
        *(f"{at}ResourceConfig.VolumeKmsKeyId" for at in _TRAINING),
        "TransformResources.VolumeKmsKeyId",
        "KmsKeyId",
        *(f"{at}.ClusterConfig.VolumeKmsKeyId" for at in _CLUSTERS),
    ),
    "sagemaker:VpcSecurityGroupIds": (
        "SecurityGroupIds",
        *(f"{at}VpcConfig.SecurityGroupIds" for at in _TRAINING),
        *(f"{at}.VpcConfig.SecurityGroupIds" for at in _NETWORKS),
    ),
    "sagemaker:VpcSubnets": (
        "SubnetId",
        *(f"{at}VpcConfig.Subnets" for at in _TRAINING),
        *(f"{at}.VpcConfig.Subnets" for at in _NETWORKS),
    ),
}
"""Condition keys, and where requests say their values."""

ROLES = (
    "RoleArn",
    "ExecutionRoleArn",
    "TrainingJobDefinition.RoleArn",
    "TrainingJobDefinitions.RoleArn",
    f"{_DEFINITION}.RoleArn",
)
"""Where requests name a role that they hand to SageMaker."""

_FOLDED = {key.lower(): places for key, places in KEYS.items()}
_BY_NOUN = sorted(ALL, key=lambda kind: -len(kind.noun))
_READING = ("List", "Describe", "Search")


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:
    """The checks of one SageMaker call."""
    resource = _resource(ctx, request)
    action = f"sagemaker:{ctx.operation}"
    tags = request_tags(request.get("Tags"))
    given = values(request, "TagKeys")
    keys = {"aws:TagKeys": given, **tags} if given else tags
    lookup = late(_FOLDED, request, partial(platform.records.by_arn, resource))
    checks = [Check(action, resource, keys, late=lookup)]
    if ctx.operation.startswith(_READING):
        return checks
    if ctx.operation in ("CreateEndpoint", "UpdateEndpoint") and isinstance(request.get("EndpointConfigName"), str):
        config = ENDPOINT_CONFIG.arn(ctx, request["EndpointConfigName"])
        checks.append(Check(action, config, keys, late=late({}, {}, partial(platform.records.by_arn, config))))
    if tags and ctx.operation.startswith("Create"):
        checks.append(Check("sagemaker:AddTags", resource, {**tags, "sagemaker:TaggingAction": ctx.operation}))
    roles = dict.fromkeys(role for place in ROLES for role in values(request, place))
    return [*checks, *(pass_role(platform.records, role, "sagemaker.amazonaws.com", resource) for role in roles)]


def _resource(ctx: Context, request: Document) -> str:
    if "ResourceArn" in request:
        return str(request["ResourceArn"])
    kind = _kind(ctx.operation)
    if kind is None or ctx.operation.startswith("List"):
        return "*"
    name = request.get(kind.name_member)
    return kind.arn(ctx, name) if isinstance(name, str) else "*"


def _kind(operation: str) -> Kind | None:
    if "JobDefinition" in operation:
        return next(kind for kind in ALL if kind.noun == "JobDefinition")
    return next((kind for kind in _BY_NOUN if kind.noun in operation), None)
