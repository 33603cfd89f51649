"""The policy of a bucket, and whether it opens the bucket to the public."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clary.auth import policy
from clary.errors import AccessDenied
from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import MalformedPolicy, NoSuchBucketPolicy

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members
    from clary.store.records import Record

MAX_POLICY_BYTES = 20 << 10

_NARROWING = frozenset(
    {
        "aws:sourcearn",
        "aws:sourceaccount",
        "aws:sourceip",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalaccount",
        "aws:userid",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    }
)
"""Conditions that keep a statement for everybody from being public ("The meaning of public", Amazon S3 user guide)."""


class BucketPolicy:
    """Who else may use a bucket."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_policy(self, ctx: Context, request: api.PutBucketPolicyRequest) -> None:
        """Replaces the policy of a bucket."""
        bucket = bucket_of(self._platform, request)
        text = request["Policy"]
        document = _checked(text, bucket)
        if is_public(document) and bucket.spec.get("PublicAccessBlockConfiguration", {}).get("BlockPublicPolicy"):
            raise AccessDenied(
                f"User: {ctx.principal.arn} is not authorized to perform: s3:PutBucketPolicy on resource: "
                f'"{bucket.arn}" because public policies are prevented by the BlockPublicPolicy setting in '
                "S3 Block Public Access."
            )
        edit(self._platform, bucket, ctx, lambda spec: spec.update(Policy=text))

    def get_bucket_policy(self, _: Context, request: api.GetBucketPolicyRequest) -> api.GetBucketPolicyOutput:
        """The policy of a bucket, as it was put."""
        return {"Policy": self._policy(request)}

    def delete_bucket_policy(self, ctx: Context, request: api.DeleteBucketPolicyRequest) -> None:
        """Removes the policy of a bucket."""
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop("Policy", None))

    def get_bucket_policy_status(
        self, _: Context, request: api.GetBucketPolicyStatusRequest
    ) -> api.GetBucketPolicyStatusOutput:
        """Whether the policy makes the bucket public."""
        return {"PolicyStatus": {"IsPublic": is_public(json.loads(self._policy(request)))}}

    def _policy(self, request: Members) -> str:
        text = bucket_of(self._platform, request).spec.get("Policy")
        if text is None:
            raise NoSuchBucketPolicy("The bucket policy does not exist", BucketName=request["Bucket"])
        return str(text)


def is_public(document: dict[str, Any]) -> bool:
    """Whether a policy allows something to everybody."""
    return any(_opens(statement) for statement in _statements(document))


def _opens(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    named = policy.as_list(principal.get("AWS", [])) if isinstance(principal, dict) else [principal]
    if statement.get("Effect") != "Allow" or "*" not in named:
        return False
    keys = {key.lower() for block in statement.get("Condition", {}).values() for key in block}
    return not keys & _NARROWING


def _checked(text: str, bucket: Record) -> dict[str, Any]:
    """The document of a policy that fits the bucket.

    Raises:
        MalformedPolicy: it does not.
    """
    if len(text.encode()) > MAX_POLICY_BYTES:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    try:
        policy.parse(text)
        document: dict[str, Any] = json.loads(text)
    except policy.InvalidPolicy as error:
        raise MalformedPolicy(str(error)) from None
    except ValueError:
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'") from None
    for statement in _statements(document):
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise MalformedPolicy("Missing required field Principal")
        for resource in policy.as_list(statement.get("Resource", [])):
            if resource != bucket.arn and not str(resource).startswith((f"{bucket.arn}/", f"{bucket.arn}*")):
                raise MalformedPolicy("Policy has invalid resource")
    return document


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    return policy.as_list(document.get("Statement", []))
