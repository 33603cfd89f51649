"""The policy of a bucket."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from clary.auth import entities, policy
from clary.errors import AccessDenied
from clary.services.s3.bucket import account_of, bucket_of, edit
from clary.services.s3.errors import MalformedPolicy, NoSuchBucketPolicy
from clary.services.s3.grants import blocks
from clary.services.s3.public import is_public

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record, Records

MAX_POLICY_BYTES = 20 << 10

VERSIONS = ("2012-10-17", "2008-10-17")
_ELEMENTS = frozenset(
    (
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
        *("Resource", "NotResource", "Condition"),
    )
)
_HOLDER = re.compile(r"arn:aws:iam::(\d{12}):(user|role)/(?:.*/)?([^/*?]+)")
_OTHERS = re.compile(
    r"\d{12}|arn:aws:iam::\d{12}:root|arn:aws:sts::\d{12}:(?:assumed-role/[^/*?]+/[^/*?]+|federated-user/[^/*?]+)"
)
"""Accounts and sessions as policies name them."""


class BucketPolicy:
    """Who else may use a bucket."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_policy(self, ctx: Context, request: api.PutBucketPolicyRequest) -> None:
        """Replaces the policy of a bucket."""
        bucket = bucket_of(self._platform, request)
        text = request["Policy"]
        _refuse_malformed(text, bucket, self._platform.records)
        if is_public(text) and blocks(bucket, "BlockPublicPolicy"):
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
        return {"PolicyStatus": {"IsPublic": is_public(self._policy(request))}}

    def _policy(self, request: Members) -> str:
        text = bucket_of(self._platform, request).spec.get("Policy")
        if text is None:
            raise NoSuchBucketPolicy("The bucket policy does not exist", BucketName=request["Bucket"])
        return str(text)


def _refuse_malformed(text: str, bucket: Record, records: Records) -> None:
    """Accepts the text of a policy that fits the bucket.

    Raises:
        MalformedPolicy: it does not.
    """
    if len(text.encode()) > MAX_POLICY_BYTES:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'") from None
    if not isinstance(document, dict):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    if document.get("Version", VERSIONS[-1]) not in VERSIONS:
        raise MalformedPolicy(f"The policy must contain a valid version string: {' or '.join(VERSIONS)}")
    statements = policy.as_list(document.get("Statement", []))
    if not statements:
        raise MalformedPolicy("Could not parse the policy: Statement is empty!")
    for statement in statements:
        _refuse_statement(statement, bucket, records)
    try:
        policy.parse(text)
    except policy.InvalidPolicy as error:
        raise MalformedPolicy(str(error)) from None


def _refuse_statement(statement: Document, bucket: Record, records: Records) -> None:
    if not isinstance(statement, dict):
        raise MalformedPolicy("Could not parse the policy: Statement is not an object")
    for element in statement:
        if element not in _ELEMENTS:
            raise MalformedPolicy(f"Unknown field {element}")
    for either in (("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource")):
        if not any(element in statement for element in either):
            raise MalformedPolicy(f"Missing required field {either[0]}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Invalid effect: {statement.get('Effect')}")
    _refuse_principal(statement.get("Principal", statement.get("NotPrincipal")), bucket, records)
    _refuse_elsewhere(statement, bucket)


def _refuse_elsewhere(statement: Document, bucket: Record) -> None:
    """Accepts a statement that is about S3 and this bucket."""
    for action in policy.as_list(statement.get("Action", statement.get("NotAction"))):
        if action != "*" and not str(action).lower().startswith("s3:"):
            raise MalformedPolicy("Policy has invalid action")
    for resource in policy.as_list(statement.get("Resource", statement.get("NotResource"))):
        if resource != bucket.arn and not str(resource).startswith((f"{bucket.arn}/", f"{bucket.arn}*")):
            raise MalformedPolicy("Policy has invalid resource")


def _refuse_principal(principal: Any, bucket: Record, records: Records) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict):
        raise MalformedPolicy("Invalid policy syntax.")
    for kind, names in principal.items():
        for name in policy.as_list(names):
            if not _names_somebody(kind, str(name), bucket.account, records):
                raise MalformedPolicy("Invalid principal in policy", Detail=f'"{kind}" : "{name}"')


def _names_somebody(kind: str, name: str, account: str, records: Records) -> bool:
    """Whether there may be such a principal; users and roles of the bucket's own account must exist."""
    match kind:
        case "Service":
            return name.endswith(".amazonaws.com")
        case "Federated":
            return bool(name)
        case "CanonicalUser":
            return bool(account_of(name))
        case "AWS":
            holder = _HOLDER.fullmatch(name)
            if holder is None:
                return name == "*" or _OTHERS.fullmatch(name) is not None
            kind = entities.USER if holder[2] == "user" else entities.ROLE
            return holder[1] != account or records.get(kind, account, "", holder[3]) is not None
    return False
