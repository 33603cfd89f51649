"""The lifecycle of a bucket: its rules, and what answers tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.s3 import mfa_delete
from clary.services.s3.background import wake
from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import InvalidArgument, InvalidBucketState, MalformedXML, NoSuchLifecycleConfiguration
from clary.services.s3.lifecycle_rules import checked
from clary.store.objects import lifecycle

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.objects import Upload, Version
    from clary.store.records import Record

KIND = "bucket-lifecycle"
SIZES = ("all_storage_classes_128K", "varies_by_storage_class")

_DATE = "%a, %d %b %Y %H:%M:%S GMT"


class Lifecycle:
    """The lifecycle configuration of a bucket; a controller carries it out."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_lifecycle_configuration(
        self, ctx: Context, request: api.PutBucketLifecycleConfigurationRequest
    ) -> Document:
        """Replaces the rules; what is due by them is done at once, the rest from midnight to midnight."""
        bucket = bucket_of(self._platform, request)
        configuration = request.get("LifecycleConfiguration")
        if configuration is None:
            raise MalformedXML
        if mfa_delete.is_on(bucket):
            # Source: "Using S3 Lifecycle with other bucket configurations", Amazon S3 user guide.
            raise InvalidBucketState("Lifecycle configuration is not supported on MFA-enabled buckets.")
        least = request.get("TransitionDefaultMinimumObjectSize") or SIZES[0]
        if least not in SIZES:
            raise InvalidArgument(
                "Invalid TransitionDefaultMinimumObjectSize", "TransitionDefaultMinimumObjectSize", least
            )
        rules = checked(configuration["Rules"])
        settings = {"LifecycleConfiguration": {"Rules": rules}, "TransitionDefaultMinimumObjectSize": least}
        edit(self._platform, bucket, ctx, lambda spec: spec.update(settings))
        wake(self._platform, KIND, bucket, ctx.now)
        return {"TransitionDefaultMinimumObjectSize": least}

    def get_bucket_lifecycle_configuration(
        self, _: Context, request: api.GetBucketLifecycleConfigurationRequest
    ) -> Document:
        """The rules."""
        spec = bucket_of(self._platform, request).spec
        if "LifecycleConfiguration" not in spec:
            raise NoSuchLifecycleConfiguration("The lifecycle configuration does not exist")
        least = spec.get("TransitionDefaultMinimumObjectSize", SIZES[0])
        return {**spec["LifecycleConfiguration"], "TransitionDefaultMinimumObjectSize": least}

    def delete_bucket_lifecycle(self, ctx: Context, request: api.DeleteBucketLifecycleRequest) -> None:
        """Removes the rules."""
        bucket = bucket_of(self._platform, request)
        edit(self._platform, bucket, ctx, lambda spec: spec.pop("LifecycleConfiguration", None))

    # What these came before has their address, and so answers them.
    put_bucket_lifecycle = put_bucket_lifecycle_configuration
    get_bucket_lifecycle = get_bucket_lifecycle_configuration


def expiration_member(bucket: Record, version: Version) -> Document:
    """The `x-amz-expiration` header of an answer about a current version, when a rule lets it expire."""
    if "LifecycleConfiguration" not in bucket.spec or version.past:
        return {}
    end = lifecycle.expiration(lifecycle.rules(bucket.spec), version)
    return {"Expiration": f'expiry-date="{end[0].strftime(_DATE)}", rule-id="{end[1]}"'} if end else {}


def abort_members(bucket: Record, upload: Upload) -> Document:
    """The `x-amz-abort-` headers of an answer about an upload, when a rule gives it up."""
    if "LifecycleConfiguration" not in bucket.spec:
        return {}
    end = lifecycle.abort(lifecycle.rules(bucket.spec), upload.key, upload.initiated)
    return {"AbortDate": end[0], "AbortRuleId": end[1]} if end else {}
