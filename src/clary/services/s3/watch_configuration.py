"""What a bucket has written down of its requests: access logs and request metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from clary.errors import NotSupported
from clary.services.s3 import configurations
from clary.services.s3.background import wake
from clary.services.s3.bucket import bucket_of, edit, find
from clary.services.s3.errors import InvalidTargetBucketForLogging

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.http import Reply
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

LOGGING = "bucket-logging"


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

    def put_bucket_metrics_configuration(
        self, ctx: Context, request: api.PutBucketMetricsConfigurationRequest
    ) -> Document | Reply | None:
        """Has the requests of a bucket, or of a prefix, counted under an id."""
        if set(request["MetricsConfiguration"].get("Filter") or {}) - {"Prefix"}:
            raise NotSupported("Clary supports filters by Prefix only in metrics configurations.")
        return _put_metrics(self, ctx, cast("Document", request))

    get_bucket_metrics_configuration = configurations.get("MetricsConfiguration")
    list_bucket_metrics_configurations = configurations.listing("MetricsConfiguration")
    delete_bucket_metrics_configuration = configurations.delete("MetricsConfiguration")

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


_put_metrics = configurations.put("MetricsConfiguration")
