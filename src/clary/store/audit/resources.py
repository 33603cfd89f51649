"""What CloudTrail calls the type and the name of a resource, told by its ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICES: Mapping[str, str] = {
    "ec2": "EC2",
    "iam": "IAM",
    "logs": "Logs",
    "s3": "S3",
    "sagemaker": "SageMaker",
    "sts": "STS",
}
_TYPES: Mapping[tuple[str, str], str] = {
    ("ec2", "vpc"): "VPC",
    ("ec2", "elastic-ip"): "EIP",
    ("iam", "mfa"): "VirtualMFADevice",
    ("iam", "oidc-provider"): "OIDCProvider",
    ("sts", "assumed-role"): "AssumedRole",
}
"""Types that are not called after the kind in the ARN."""


def resource_type(arn: str) -> str:
    """The type of a resource, e.g. `AWS::SageMaker::TrainingJob`; empty when the text is no ARN."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return ""
    service, rest = parts[2], parts[5]
    if service == "s3":
        return "AWS::S3::Object" if "/" in rest else "AWS::S3::Bucket"
    kind = rest.replace(":", "/").partition("/")[0]
    named = _TYPES.get((service, kind)) or "".join(word.capitalize() for word in kind.split("-"))
    return f"AWS::{_SERVICES.get(service, service.capitalize())}::{named}"


def resource_name(arn: str) -> str:
    """The name in an ARN: that of the bucket, or what follows the last slash or the kind."""
    rest = arn.split(":", 5)[-1]
    if arn.startswith("arn:aws:s3:::"):
        return rest
    name = rest.removesuffix(":*").rpartition("/")[2]
    return name.partition(":")[2] or name
