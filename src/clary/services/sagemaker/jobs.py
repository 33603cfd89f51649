"""What training, processing, transform and tuning jobs have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.algorithms.catalogue import Image, Own, resolve
from clary.auth import entities
from clary.controllers.states import States, transition
from clary.errors import ValidationException
from clary.quotas import Quota, Quotas
from clary.store import images

from .errors import ResourceInUse
from .kinds import Family, Kind, find

if TYPE_CHECKING:
    from datetime import datetime

    from clary.context import Context
    from clary.platform import Platform
    from clary.quotas import Purpose
    from clary.services.service import Document, Handler, Members
    from clary.store.records import Record

SAGEMAKER = "sagemaker.amazonaws.com"
NOT_YET = ("InstanceGroups", "InstancePlacementConfig", "InstancePreferences", "TrainingPlanArn")
"""Other ways to ask for instances: heterogeneous clusters, UltraServers, alternatives, reserved capacity."""

ImageFinder = Callable[[str], Image]
"""Tells what an image URI stands for; raises ValidationException when it stands for nothing."""


def check_role(platform: Platform, ctx: Context, role_arn: str, source_arn: str = "") -> None:
    """Refuses a role that SageMaker may not assume for a resource, or for whatever resource of the region.

    Raises:
        ValidationException: the role is not there or does not trust SageMaker, in AWS's words.
    """
    role = platform.records.by_arn(role_arn)
    source = source_arn or arn.build("sagemaker", ctx.region, ctx.account, "*")
    if role is None or role.kind != entities.ROLE or not platform.authorizer.trusts_service(role, SAGEMAKER, source):
        raise ValidationException(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{SAGEMAKER}' to assume the role."
        )


def check_instances(resources: Members, member: str) -> None:
    """Refuses a cluster that is not so many instances of one type.

    Raises:
        ValidationException: what is asked for does not exist here, or nothing is.
    """
    for name in NOT_YET:
        if resources.get(name):
            raise ValidationException(f"Clary does not support {member}.{name} yet; give an InstanceType.")
    if "InstanceType" not in resources or not resources.get("InstanceCount", 1):
        raise ValidationException(f"InstanceType and an InstanceCount of at least 1 are required in {member}.")


def check_quota(platform: Platform, ctx: Context, purpose: Purpose, instances: Members, times: int = 1) -> None:
    """Refuses instances beyond the quota of the account; `instances` tells InstanceType and InstanceCount.

    Raises:
        ResourceLimitExceeded: in AWS's words.
    """
    quota = Quota(purpose, instances["InstanceType"])
    Quotas(platform, ctx.account, ctx.region).check(quota, int(instances.get("InstanceCount", 1)) * times)


def finder(platform: Platform, ctx: Context) -> ImageFinder:
    """`image` for code that checks requests without a platform at hand."""
    return partial(image, platform, ctx)


def image(platform: Platform, ctx: Context, uri: str) -> Image:
    """What an image URI stands for here: an image of the registry, or an environment of Clary's own.

    Raises:
        ValidationException: neither; in AWS's words where the registry should have it.
    """
    named = images.refer(uri, ctx.account, ctx.region, platform.settings.port)
    registry = images.Images(platform.records)
    if named is not None and registry.repository(named.place) is not None:
        digest = named.digest or registry.tagged(named.place, named.tag or "latest")
        if digest and registry.image(named.place, digest):
            return Own(uri, named.place.name, named.tag)
        raise ValidationException(f"Requested image {uri} not found.")
    found = resolve(uri)
    if found is not None:
        return found
    if named is not None:
        raise ValidationException(
            f"Cannot find repository: {named.place.name} in registry ID: {named.place.account} Please check if your "
            "ECR repository exists and role has proper pull permissions for SageMaker: "
            "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer"
        )
    raise ValidationException(
        f"Clary cannot run the image {uri}: it runs SageMaker's images in environments of its own, and images of its "
        "own registry. Create a repository in ECR and push the image there."
    )


def stop(kind: Kind, states: States) -> Handler:
    """The Stop operation of a kind of job."""

    def handler(self: Family, ctx: Context, request: Document) -> None:
        record = find(self._platform, ctx, kind, request[kind.name_member])

        def stopping(current: Record) -> Record:
            if current.status == "Stopping":
                return current
            if current.status != "InProgress":
                raise ValidationException(
                    f"The request was rejected because the {_words(kind)} is in status {current.status}."
                )
            return replace(transition(states, current, "Stopping", ctx.now), due=ctx.now)

        self._platform.records.edit(record, stopping)

    handler.__doc__ = f"Asks a {kind.noun} to stop; it ends as Stopped once its processes are gone."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def delete_finished(kind: Kind, states: States, refuse: Callable[[Record], None] = lambda _: None) -> Handler:
    """The Delete operation of a kind of job; `refuse` raises the error for one that must stay although it has ended."""

    def handler(self: Family, ctx: Context, request: Document) -> None:
        record = find(self._platform, ctx, kind, request[kind.name_member])
        if record.status not in states.terminal:
            raise ResourceInUse(f"The {_words(kind)} {record.name} is in status {record.status}; stop it first.")
        refuse(record)
        self._platform.records.delete(record)

    handler.__doc__ = f"Removes a {kind.noun} that has ended."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def secondary(status: str, message: str, now: datetime) -> dict[str, Any]:
    """An entry of SecondaryStatusTransitions."""
    return {"Status": status, "StartTime": now, "StatusMessage": message}


def s3_uri(uri: str, member: str) -> None:
    """Refuses what is no S3 address.

    Raises:
        ValidationException: in AWS's words.
    """
    if not uri.startswith("s3://") or not uri[5:].split("/", maxsplit=1)[0]:
        raise ValidationException(f"The S3 URI {uri!r} at {member} is not valid: it must begin with s3://BUCKET.")


def _words(kind: Kind) -> str:
    return kind.name.replace("-", " ")
