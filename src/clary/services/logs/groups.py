"""Log groups and their retention."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.services.service import in_thread
from clary.store.records import AlreadyExists, Query, Record

from .errors import InvalidParameterException, ResourceAlreadyExistsException
from .names import KIND, address, group, group_arn

if TYPE_CHECKING:
    from clary.api import logs as api
    from clary.context import Context
    from clary.platform import Platform

RETENTION_DAYS = frozenset(
    (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
)


class Groups:
    """Log groups and their retention."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def create_log_group(self, ctx: Context, request: api.CreateLogGroupRequest) -> None:
        """Makes an empty group."""
        name = request["logGroupName"]
        record = Record(
            KIND, ctx.account, ctx.region, name, group_arn(ctx, name), {"logGroupName": name}, ctx.now, ctx.now,
            tags=request.get("tags", {}),
        )  # fmt: skip
        try:
            self._platform.records.create(record)
        except AlreadyExists:
            raise ResourceAlreadyExistsException("The specified log group already exists") from None

    @in_thread
    def delete_log_group(self, ctx: Context, request: api.DeleteLogGroupRequest) -> None:
        """Removes a group with everything in it."""
        record = group(self._platform, ctx, request)
        self._platform.logs.delete_group(address(ctx, record.name))
        self._platform.records.delete(record)

    def describe_log_groups(self, ctx: Context, request: api.DescribeLogGroupsRequest) -> api.DescribeLogGroupsResponse:
        """The groups by name, in pages."""
        limit = request.get("limit", 50)
        token = request.get("nextToken")
        found = self._platform.records.list(
            Query(
                KIND,
                ctx.account,
                ctx.region,
                name_prefix=request.get("logGroupNamePrefix", ""),
                name_contains=request.get("logGroupNamePattern", ""),
                order_by="name",
                after=(token, 1 << 62) if token else None,
                limit=limit + 1,
            )
        )
        page = found[:limit]
        answer: api.DescribeLogGroupsResponse = {"logGroups": [_group_members(record) for record in page]}
        if len(found) > limit:
            answer["nextToken"] = page[-1].name
        return answer

    def put_retention_policy(self, ctx: Context, request: api.PutRetentionPolicyRequest) -> None:
        """Lets events expire after a number of days."""
        days = request["retentionInDays"]
        if days not in RETENTION_DAYS:
            allowed = ", ".join(str(day) for day in sorted(RETENTION_DAYS))
            raise InvalidParameterException(f"retentionInDays must be one of {allowed}")
        record = group(self._platform, ctx, request)
        self._platform.records.edit(
            record, lambda now: replace(now, observed={**now.observed, "retentionInDays": days}, due=ctx.now)
        )

    def delete_retention_policy(self, ctx: Context, request: api.DeleteRetentionPolicyRequest) -> None:
        """Lets events stay for ever."""
        record = group(self._platform, ctx, request)
        self._platform.records.edit(record, lambda now: replace(now, observed={}))

    def tag_log_group(self, ctx: Context, request: api.TagLogGroupRequest) -> None:
        """Adds tags to a group."""
        record = group(self._platform, ctx, request)
        self._platform.records.edit(record, lambda now: replace(now, tags={**now.tags, **request["tags"]}))

    def list_tags_log_group(self, ctx: Context, request: api.ListTagsLogGroupRequest) -> api.ListTagsLogGroupResponse:
        """The tags of a group."""
        return {"tags": group(self._platform, ctx, request).tags}


def _group_members(record: Record) -> api.LogGroup:
    members: api.LogGroup = {
        "logGroupName": record.name,
        "creationTime": int(record.created.timestamp() * 1000),
        "metricFilterCount": 0,
        "arn": record.arn,
        "logGroupArn": record.arn.removesuffix(":*"),
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
    }
    if "retentionInDays" in record.observed:
        members["retentionInDays"] = record.observed["retentionInDays"]
    return members
