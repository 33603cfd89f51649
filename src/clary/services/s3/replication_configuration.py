"""The replication configuration of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import arn as arns
from clary.destinations import Destinations
from clary.errors import NotSupported
from clary.services.s3.background import wake
from clary.services.s3.bucket import bucket_of, edit, versioning_of
from clary.services.s3.errors import InvalidArgument, InvalidRequest, ReplicationConfigurationNotFoundError
from clary.services.s3.replication import CONFIGURATION, KIND
from clary.services.s3.replication_rules import checked

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record


class Replication:
    """Puts, tells and removes the configuration; a controller replicates."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_replication(self, ctx: Context, request: api.PutBucketReplicationRequest) -> None:
        """Replaces the configuration; it counts for what is written from now on."""
        bucket = bucket_of(self._platform, request)
        configuration = request["ReplicationConfiguration"]
        if versioning_of(bucket) != "Enabled":
            raise InvalidRequest("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
        if request.get("Token"):
            raise NotSupported("Clary does not support the header x-amz-bucket-object-lock-token.")
        rules = checked(configuration["Rules"])
        self._check_role(configuration["Role"])
        for rule in rules:
            self._check_destination(bucket, rule["Destination"])
        kept = {"Role": configuration["Role"], "Rules": rules}
        edit(self._platform, bucket, ctx, lambda spec: spec.update({CONFIGURATION: kept}))
        wake(self._platform, KIND, bucket, ctx.now)

    def get_bucket_replication(self, _: Context, request: api.GetBucketReplicationRequest) -> Document:
        """The configuration."""
        found = bucket_of(self._platform, request).spec.get(CONFIGURATION)
        if found is None:
            raise ReplicationConfigurationNotFoundError("The replication configuration was not found")
        return {CONFIGURATION: found}

    def delete_bucket_replication(self, ctx: Context, request: api.DeleteBucketReplicationRequest) -> None:
        """Removes the configuration; what was written before is replicated all the same."""
        bucket = bucket_of(self._platform, request)
        edit(self._platform, bucket, ctx, lambda spec: spec.pop(CONFIGURATION, None))

    def _check_role(self, role: str) -> None:
        """Accepts a role that exists."""
        try:
            named = arns.split(role).service == "iam" and self._platform.records.by_arn(role) is not None
        except ValueError:
            named = False
        if not named:
            raise InvalidArgument("Invalid Role ARN", "Role", role)

    def _check_destination(self, source: Record, destination: Members) -> None:
        """Accepts a bucket with versions on this platform, or one elsewhere that was registered."""
        arn = destination["Bucket"]
        if arn == source.arn:
            raise InvalidRequest("Destination bucket cannot be the same as the source bucket.")
        destinations = Destinations(self._platform.records, self._platform.keyring, self._platform.settings.account)
        if destinations.knows(arn):
            return
        target = self._platform.records.by_arn(arn)
        if target is None or target.kind != source.kind:
            raise InvalidRequest("Destination bucket must exist.")
        if versioning_of(target) != "Enabled":
            raise InvalidRequest("Destination bucket must have versioning enabled.")
        if destination.get("Account", target.account) != target.account:
            raise InvalidRequest("Account ID of the destination bucket does not match the one that was specified.")
