"""Buckets: create, delete, head, list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.http import Reply
from clary.services.s3 import grants
from clary.services.s3.access import refuse_public_acl
from clary.services.s3.bucket import (
    KIND,
    bucket_arn,
    bucket_of,
    canonical_id,
    find,
    refuse_name,
    versioning_of,
)
from clary.services.s3.errors import (
    AccessControlListNotSupported,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    IllegalLocationConstraintException,
    InvalidBucketAclWithObjectOwnership,
    InvalidLocationConstraint,
)
from clary.services.s3.lock import CONFIGURATION, ENABLED
from clary.services.s3.meta import MAX_BUCKET_TAGS, checked_tags
from clary.store.records import Query, Record

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

US_EAST_1 = "us-east-1"
MAX_BUCKETS = 10_000


class Buckets:
    """Buckets as a whole."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def create_bucket(self, ctx: Context, request: api.CreateBucketRequest) -> Document:
        """Makes a bucket, closed to the public and without access control lists, as S3 does since April 2023."""
        name = request["Bucket"]
        refuse_name(name)
        configuration = request.get("CreateBucketConfiguration") or {}
        region = _region(ctx, configuration)
        existing = find(self._platform, name)
        if existing is not None:
            return self._existing(ctx, existing, region)
        ownership = request.get("ObjectOwnership") or "BucketOwnerEnforced"
        record = Record(
            kind=KIND,
            account=ctx.account,
            region="",
            name=name,
            arn=bucket_arn(name),
            spec={
                "Region": region,
                "OwnershipControls": {"Rules": [{"ObjectOwnership": ownership}]},
                "PublicAccessBlockConfiguration": dict.fromkeys(grants.SWITCHES, True),
            },
            created=ctx.now,
            modified=ctx.now,
            tags=checked_tags(((tag["Key"], tag["Value"]) for tag in configuration.get("Tags") or ()), MAX_BUCKET_TAGS),
        )
        record.spec["ACL"] = _acl(ctx, request, record)
        if request.get("ObjectLockEnabledForBucket"):
            record.spec.update({"Versioning": {"Status": "Enabled"}, CONFIGURATION: ENABLED})
        self._platform.records.create(record)
        return {"Location": f"/{name}", "BucketArn": record.arn}

    def delete_bucket(self, _: Context, request: api.DeleteBucketRequest) -> Reply:
        """Removes an empty bucket, and the uploads that never came to an end."""
        record = bucket_of(self._platform, request)
        objects = self._platform.objects
        # In one transaction, so that nothing can be put into the bucket meanwhile.
        with objects.index.transaction():
            if not objects.index.is_empty(record.name):
                raise BucketNotEmpty(record.name, versions=bool(versioning_of(record)))
            objects.uploads.abort_all(record.name)
            self._platform.records.delete(record)
        return Reply({}, 204)

    def head_bucket(self, _: Context, request: api.HeadBucketRequest) -> api.HeadBucketOutput:
        """Tells that a bucket is there."""
        record = bucket_of(self._platform, request)
        return {"BucketRegion": record.spec["Region"], "AccessPointAlias": False, "BucketArn": record.arn}

    def get_bucket_location(self, _: Context, request: api.GetBucketLocationRequest) -> Document:
        """The region of a bucket; us-east-1 has no name here."""
        region = bucket_of(self._platform, request).spec["Region"]
        return {"LocationConstraint": None if region == US_EAST_1 else region}

    def list_buckets(self, ctx: Context, request: api.ListBucketsRequest) -> Document:
        """The buckets of the account, by name."""
        limit = request.get("MaxBuckets") or MAX_BUCKETS
        prefix, region = request.get("Prefix") or "", request.get("BucketRegion")
        query = Query(KIND, ctx.account, name_prefix=prefix, order_by="name")
        after = request.get("ContinuationToken") or ""
        found = [
            record
            for record in self._platform.records.all(query)
            if record.name > after and region in (None, record.spec["Region"])
        ]
        page = found[:limit]
        members: Document = {
            "Buckets": [
                {"Name": record.name, "CreationDate": record.created, "BucketRegion": record.spec["Region"]}
                for record in page
            ],
            "Owner": {"ID": canonical_id(ctx.account)},
        }
        if len(found) > limit:
            members["ContinuationToken"] = page[-1].name
        if prefix:
            members["Prefix"] = prefix
        return members

    def _existing(self, ctx: Context, existing: Record, region: str) -> Document:
        if existing.account != ctx.account:
            raise BucketAlreadyExists(existing.name)
        if region != US_EAST_1 or existing.spec["Region"] != region:
            raise BucketAlreadyOwnedByYou(existing.name)
        # "In us-east-1 [...] Amazon S3 returns 200 OK" for a bucket that one owns already (CreateBucket).
        return {"Location": f"/{existing.name}", "BucketArn": existing.arn}


def _acl(ctx: Context, request: Members, record: Record) -> grants.Acl:
    """The list of a new bucket, whose ownership setting may rule out that it has one."""
    if request.get("ACL") == grants.PRIVATE:
        return grants.PRIVATE
    try:
        acl = grants.asked(request, record)
    except AccessControlListNotSupported:
        raise InvalidBucketAclWithObjectOwnership from None
    refuse_public_acl(ctx, record, acl, "s3:CreateBucket", record.arn)
    return acl or grants.PRIVATE


def _region(ctx: Context, configuration: api.CreateBucketConfiguration) -> str:
    """The region of a new bucket: the one that was asked, which a request outside of us-east-1 must say."""
    wanted = configuration.get("LocationConstraint")
    wanted = "eu-west-1" if wanted == "EU" else wanted
    if wanted is None and ctx.region != US_EAST_1:
        raise IllegalLocationConstraintException(
            "The unspecified location constraint is incompatible for the region specific endpoint "
            "this request was sent to."
        )
    if wanted is not None and ctx.region not in (US_EAST_1, wanted):
        raise IllegalLocationConstraintException(
            f"The {wanted} location constraint is incompatible for the region specific endpoint "
            "this request was sent to."
        )
    if wanted == US_EAST_1:
        raise InvalidLocationConstraint("The specified location-constraint is not valid", LocationConstraint=wanted)
    return wanted or US_EAST_1
