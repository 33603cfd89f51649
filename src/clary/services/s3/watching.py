"""What a bucket has written down of its requests: access logs and request metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.errors import NotSupported
from clary.services.s3.background import wake
from clary.services.s3.bucket import bucket_of, edit, find
from clary.services.s3.errors import (
    InvalidArgument,
    InvalidTargetBucketForLogging,
    MalformedXML,
    NoSuchConfiguration,
    TooManyConfigurations,
)

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

LOGGING = "bucket-logging"
MAX_CONFIGURATIONS = 1000
MAX_ID = 64
PAGE = 100


class Watching:
    """Server access logging, and metrics configurations."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_logging(self, ctx: Context, request: api.PutBucketLoggingRequest) -> None:
        """Turns logging on, to a bucket of the same owner and region, or off."""
        bucket = bucket_of(self._platform, request)
        wanted = request["BucketLoggingStatus"].get("LoggingEnabled")
        if wanted is None:
            edit(self._platform, bucket, ctx, lambda spec: spec.pop("BucketLoggingStatus", None))
            return
        self._check_target(bucket, wanted)
        edit(self._platform, bucket, ctx, lambda spec: spec.update(BucketLoggingStatus={"LoggingEnabled": wanted}))
        wake(self._platform, LOGGING, bucket, ctx.now)

    def get_bucket_logging(self, _: Context, request: api.GetBucketLoggingRequest) -> Document:
        """Where the logs go; nothing when there are none."""
        return dict(bucket_of(self._platform, request).spec.get("BucketLoggingStatus") or {})

    def put_bucket_metrics_configuration(self, ctx: Context, request: api.PutBucketMetricsConfigurationRequest) -> None:
        """Has the requests of a bucket, or of a prefix, counted under an id."""
        bucket, name = bucket_of(self._platform, request), request["Id"]
        configuration = request["MetricsConfiguration"]
        if configuration.get("Id") != name:
            raise MalformedXML
        if len(name) > MAX_ID:
            raise InvalidArgument(
                f"The metrics configuration ID cannot be longer than {MAX_ID} characters.", "Id", name
            )
        filter_ = configuration.get("Filter") or {}
        if set(filter_) - {"Prefix"}:
            raise NotSupported("Clary supports filters by Prefix only in metrics configurations.")
        if name not in _metrics(bucket) and len(_metrics(bucket)) >= MAX_CONFIGURATIONS:
            raise TooManyConfigurations("You are attempting to create a new configuration but have already reached "
                                        "the 1,000-configuration limit.")  # fmt: skip
        change = {**_metrics(bucket), name: dict(configuration)}
        edit(self._platform, bucket, ctx, lambda spec: spec.update(MetricsConfigurations=change))

    def get_bucket_metrics_configuration(
        self, _: Context, request: api.GetBucketMetricsConfigurationRequest
    ) -> Document:
        """One configuration."""
        return {"MetricsConfiguration": _metric(bucket_of(self._platform, request), request["Id"])}

    def list_bucket_metrics_configurations(
        self, _: Context, request: api.ListBucketMetricsConfigurationsRequest
    ) -> Document:
        """The configurations by id, a hundred at a time."""
        found = _metrics(bucket_of(self._platform, request))
        after = request.get("ContinuationToken") or ""
        names = sorted(name for name in found if name > after)
        members: Document = {
            "MetricsConfigurationList": [found[name] for name in names[:PAGE]],
            "IsTruncated": len(names) > PAGE,
        }
        if after:
            members["ContinuationToken"] = after
        if len(names) > PAGE:
            members["NextContinuationToken"] = names[PAGE - 1]
        return members

    def delete_bucket_metrics_configuration(
        self, ctx: Context, request: api.DeleteBucketMetricsConfigurationRequest
    ) -> None:
        """Removes a configuration."""
        bucket, name = bucket_of(self._platform, request), request["Id"]
        _metric(bucket, name)
        change = {other: each for other, each in _metrics(bucket).items() if other != name}
        edit(self._platform, bucket, ctx, lambda spec: spec.update(MetricsConfigurations=change))

    def _check_target(self, bucket: Record, wanted: Members) -> None:
        if wanted.get("TargetGrants"):
            raise NotSupported("Clary does not support TargetGrants for access logs.")
        target = find(self._platform, wanted["TargetBucket"])
        if target is None:
            raise InvalidTargetBucketForLogging("The target bucket for logging does not exist")
        if target.account != bucket.account:
            raise InvalidTargetBucketForLogging(
                "The owner for the bucket to be logged and the target bucket must be the same."
            )
        if target.spec["Region"] != bucket.spec["Region"]:
            raise InvalidTargetBucketForLogging("The target bucket must be in the same region as the source bucket.")


def _metrics(bucket: Record) -> Document:
    return bucket.spec.get("MetricsConfigurations") or {}


def _metric(bucket: Record, name: str) -> Document:
    found: Document | None = _metrics(bucket).get(name)
    if found is None:
        raise NoSuchConfiguration("The specified configuration does not exist.")
    return found
