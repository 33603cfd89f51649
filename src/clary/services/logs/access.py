"""Which permission a call to CloudWatch Logs needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import arn
from clary.services.service import Check

from .names import group_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members


def access(platform: Platform, ctx: Context, request: Members) -> Sequence[Check]:  # noqa: ARG001  # the contract's shape
    """The action on the group, or on the stream where one is named."""
    name = group_name(request)
    if ctx.operation == "DescribeLogGroups" or not name:
        return [Check(f"logs:{ctx.operation}")]
    stream = request.get("logStreamName")
    resource = f"log-group:{name}:log-stream:{stream}" if stream else f"log-group:{name}:*"
    return [Check(f"logs:{ctx.operation}", arn.build("logs", ctx.region, ctx.account, resource))]
