"""Models: an image with the artefact it serves."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from clary.auth.credentials import role_session
from clary.errors import ServiceError, ValidationException

from . import kinds
from .jobs import check_role, finder, s3_uri
from .kinds import MODEL, Family, delete, describe, listing

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.services.service import Document, Members

    from .jobs import ImageFinder


class Models(Family):
    """Models of one container each."""

    async def create_model(self, ctx: Context, request: api.CreateModelInput) -> api.CreateModelOutput:
        """Checks role, image and artefact and remembers them."""
        container = _container(request)
        _check_container(container, finder(self._platform, ctx))
        check_role(self._platform, ctx, request["ExecutionRoleArn"], MODEL.arn(ctx, request["ModelName"]))
        await self._check_artifact(ctx, request["ExecutionRoleArn"], container)
        spec = {"EnableNetworkIsolation": False, **request}
        return {"ModelArn": kinds.create(self._platform, ctx, MODEL, spec).arn}

    describe_model = describe(MODEL)
    list_models = listing(MODEL)
    delete_model = delete(MODEL)

    async def _check_artifact(self, ctx: Context, role_arn: str, container: Document) -> None:
        uri = container.get("ModelDataUrl")
        if not uri:
            return
        s3_uri(uri, "ModelDataUrl")
        bucket, _, key = uri[5:].partition("/")
        role = self._platform.records.by_arn(role_arn)
        if role is None:
            return
        as_role = replace(
            ctx, request_id=str(uuid.uuid4()), principal=role_session(role, "SageMaker"), service="s3",
            operation="HeadObject", rulings=[],
        )  # fmt: skip
        try:
            await self._platform.invoke.act(as_role, {"Bucket": bucket, "Key": key})
        except ServiceError as error:
            raise ValidationException(
                f'Could not access model data at {uri}. Please ensure that the role "{role_arn}" exists and that its '
                'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
                '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
                f"object is located in {ctx.region}. ({error.code})"
            ) from error


def container_of(spec: Members) -> Document:
    """The one container of a model."""
    container: Document = spec.get("PrimaryContainer") or spec["Containers"][0]
    return container


def _container(request: api.CreateModelInput) -> Document:
    containers = request.get("Containers") or ()
    if "PrimaryContainer" in request and containers:
        raise ValidationException("Only one of PrimaryContainer and Containers may be given.")
    if "PrimaryContainer" not in request and not containers:
        raise ValidationException("One of PrimaryContainer and Containers must be given.")
    if len(containers) > 1:
        raise ValidationException("Clary does not support inference pipelines of several Containers yet.")
    if "ExecutionRoleArn" not in request:
        raise ValidationException("ExecutionRoleArn is required.")
    return container_of(request)


def _check_container(container: Document, find_image: ImageFinder) -> None:
    if "ModelPackageName" in container:
        raise ValidationException("Clary does not support ModelPackageName yet; give Image and ModelDataUrl.")
    if container.get("Mode") == "MultiModel":
        raise ValidationException("Clary does not support the container mode MultiModel yet.")
    if "Image" not in container:
        raise ValidationException("Image is required for a container.")
    if find_image(container["Image"]).serve(container.get("Environment", {})) is None:
        raise ValidationException(f"The image {container['Image']} is not for inference.")
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source:
        s3_uri(source["S3Uri"], "ModelDataSource.S3DataSource.S3Uri")
