"""Mistakes that the type check must find; mypy refuses an `ignore` that nothing needs, so it watches over this file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.api import logs, sts

    def a_member_is_misspelt(request: sts.AssumeRoleRequest) -> object:
        return request["RoleARN"]  # type: ignore[typeddict-item]

    def an_optional_member_is_misspelt(request: sts.AssumeRoleRequest) -> str:
        return request.get("Polcy", "")  # type: ignore[return-value]

    def a_value_cannot_occur(request: logs.DescribeLogStreamsRequest) -> bool:
        return request.get("orderBy") == "LastTime"  # type: ignore[comparison-overlap]

    def an_answer_lacks_a_required_member() -> sts.Credentials:
        return {"AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t"}  # type: ignore[typeddict-item]
