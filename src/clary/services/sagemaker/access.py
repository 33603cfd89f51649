"""Which permission a SageMaker operation needs, on which resource.

Source: AWS's "Actions, resources, and condition keys for Amazon SageMaker": an operation that names a resource is
checked against its ARN; one that hands a role over needs iam:PassRole for it as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.service import Check, Document

from .kinds import ALL, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.context import Context
    from clary.platform import Platform

_ROLE_MEMBERS = ("RoleArn", "ExecutionRoleArn")
_BY_NOUN = sorted(ALL, key=lambda kind: -len(kind.noun))


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:  # noqa: ARG001  # the contract's shape
    """The checks of one SageMaker call."""
    checks = [Check(f"sagemaker:{ctx.operation}", _resource(ctx, request), _tag_keys(request))]
    checks.extend(
        Check("iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"})
        for role in _roles(request)
        if not ctx.operation.startswith(("List", "Describe", "Search"))
    )
    return checks


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


def _roles(request: Document) -> list[str]:
    places = [
        request,
        request.get("TrainingJobDefinition", {}),
        *request.get("TrainingJobDefinitions", ()),
        request.get("MonitoringScheduleConfig", {}).get("MonitoringJobDefinition", {}),
    ]
    return [str(place[member]) for place in places for member in _ROLE_MEMBERS if place.get(member)]


def _tag_keys(request: Document) -> dict[str, str | Sequence[str]]:
    tags = request.get("Tags")
    if not isinstance(tags, list) or not tags:
        return {}
    keys: dict[str, str | Sequence[str]] = {"aws:TagKeys": [tag["Key"] for tag in tags if "Key" in tag]}
    keys.update({f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in tags if "Key" in tag})
    return keys
