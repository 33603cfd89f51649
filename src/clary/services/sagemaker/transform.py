"""Batch transform jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import json_path
from clary.controllers import states
from clary.errors import ValidationException
from clary.quotas import TRANSFORM
from clary.services.service import in_thread

from . import kinds
from .jobs import check_quota, s3_uri, stop
from .kinds import MODEL, TRANSFORM_JOB, Family, describe, find, listing
from .longpoll import held

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.service import Document

MOST_PAYLOAD_MB = 100
FAMILIES = {"text/csv": "CSV", "application/json": "JSON", "application/jsonlines": "JSON"}


class Transform(Family):
    """Transform jobs: predictions for everything below an S3 prefix."""

    @in_thread
    def create_transform_job(self, ctx: Context, request: Document) -> Document:
        """Checks what can be checked at once and hands the job to its controller."""
        find(self._platform, ctx, MODEL, request["ModelName"])
        _check_data(request)
        _check_limits(request)
        _check_processing(request)
        with self._platform.records.together():
            check_quota(self._platform, ctx, TRANSFORM, request["TransformResources"])
            record = kinds.create(self._platform, ctx, TRANSFORM_JOB, request, status="InProgress", due=ctx.now)
        return {"TransformJobArn": record.arn}

    describe_transform_job = held(TRANSFORM_JOB, describe(TRANSFORM_JOB))
    list_transform_jobs = listing(TRANSFORM_JOB)
    stop_transform_job = stop(TRANSFORM_JOB, states.TRANSFORM_JOB)


def _check_data(request: Document) -> None:
    if "DataCaptureConfig" in request:
        raise ValidationException("Clary does not support DataCaptureConfig of transform jobs yet.")
    if request["TransformInput"].get("SplitType") == "TFRecord":
        raise ValidationException("Clary does not support the SplitType TFRecord yet; use None, Line or RecordIO.")
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
        raise ValidationException(
            f"Clary does not support the S3DataType {source['S3DataType']} yet; use S3Prefix or ManifestFile."
        )
    s3_uri(source["S3Uri"], "TransformInput.DataSource.S3DataSource.S3Uri")
    s3_uri(request["TransformOutput"]["S3OutputPath"], "TransformOutput.S3OutputPath")


def _check_limits(request: Document) -> None:
    payload, concurrent = request.get("MaxPayloadInMB", 0), request.get("MaxConcurrentTransforms", 1)
    if payload * max(concurrent, 1) > MOST_PAYLOAD_MB:
        raise ValidationException(
            f"The value of MaxConcurrentTransforms * MaxPayloadInMB must not exceed {MOST_PAYLOAD_MB} MB."
        )
    if request["TransformResources"]["InstanceCount"] > 1:
        raise ValidationException(
            "Clary runs jobs on one instance so far: InstanceCount greater than 1 is not supported yet."
        )


def _check_processing(request: Document) -> None:
    processing = request.get("DataProcessing", {})
    for member in ("InputFilter", "OutputFilter"):
        try:
            json_path.parse(processing.get(member, "$"))
        except json_path.InvalidPath as error:
            raise ValidationException(f"DataProcessing.{member} is not valid: {error}") from None
    if processing.get("JoinSource", "None") == "None":
        return
    content_type, accept = (
        request["TransformInput"].get("ContentType", ""),
        request["TransformOutput"].get("Accept", ""),
    )
    families = {FAMILIES.get(kind.partition(";")[0].strip().lower()) for kind in (content_type, accept)}
    if None in families or len(families) > 1:
        raise ValidationException(
            "To join predictions to their input, ContentType and Accept must both be text/csv, or both be "
            f"application/json or application/jsonlines; they are [{content_type}] and [{accept}]."
        )
