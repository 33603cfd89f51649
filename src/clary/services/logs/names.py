"""Log groups by name: their records, and the addresses under which the store keeps their streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import arn

from .errors import ResourceNotFoundException

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members
    from clary.store.records import Record

KIND = "log-group"
DAY_MS = 86_400_000


def group(platform: Platform, ctx: Context, request: Members) -> Record:
    """The log group that a request names.

    Raises:
        ResourceNotFoundException: there is none.
    """
    record = platform.records.get(KIND, ctx.account, ctx.region, group_name(request))
    if record is None:
        raise ResourceNotFoundException("The specified log group does not exist.")
    return record


def group_name(request: Members) -> str:
    """The name of the group in a request, which may give its ARN instead."""
    name = request.get("logGroupName") or request.get("logGroupIdentifier", "")
    return str(name).rsplit(":log-group:", maxsplit=1)[-1].removesuffix(":*")


def address(ctx: Context, name: str) -> str:
    """Where the store keeps the streams of a group."""
    return f"{ctx.account}/{ctx.region}/{name}"


def group_arn(ctx: Context, name: str) -> str:
    """The ARN of a group, as AWS writes it."""
    return arn.build("logs", ctx.region, ctx.account, f"log-group:{name}:*")


def milliseconds(ctx: Context) -> int:
    """The time of the request as CloudWatch Logs counts it."""
    return int(ctx.now.timestamp() * 1000)
