"""What a request puts into a session: policies that narrow it, tags, how long it lasts.

Source: "Pass session tags in AWS STS" and "IAM and AWS STS quotas", IAM user guide.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

from clary.auth import entities, policy
from clary.services.sts.errors import (
    InvalidParameterValue,
    MalformedPolicyDocument,
    PackedPolicyTooLarge,
    ValidationError,
)

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.service import Members
    from clary.store.records import Records

_POLICY_CHARACTERS = 2048
_MOST_POLICIES = 10
_MOST_TAGS = 50


def session_policies(records: Records, request: Members) -> tuple[str, ...]:
    """The policies of a request: documents, and ARNs of managed policies.

    Raises:
        MalformedPolicyDocument: one is no policy.
        ValidationError: there is no such managed policy, or there are too many.
    """
    documents = [str(request["Policy"])] if request.get("Policy") else []
    for document in documents:
        _refuse_malformed(document)
    arns = [each.get("arn", "") for each in request.get("PolicyArns", ())]
    if len(arns) > _MOST_POLICIES:
        raise ValidationError(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length "
            f"less than or equal to {_MOST_POLICIES}"
        )
    for each in arns:
        if entities.managed_document(records, each) is None:
            raise ValidationError(f"The policy {each} does not exist or is not attachable.")
    return (*documents, *arns)


def session_tags(ctx: Context, request: Members) -> tuple[dict[str, str], tuple[str, ...]]:
    """The tags of the session, and the keys of those that the sessions inherit that are started from it.

    Raises:
        InvalidParameterValue: a key is given twice, or is one that the session of the caller passes on.
    """
    given = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
    folded = {key.lower() for key in given}
    if len(folded) != len(request.get("Tags", ())):
        raise InvalidParameterValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if len(given) > _MOST_TAGS:
        raise InvalidParameterValue(f"A session may have up to {_MOST_TAGS} tags.")
    transitive = tuple(request.get("TransitiveTagKeys", ()))
    if not folded.issuperset(key.lower() for key in transitive):
        raise InvalidParameterValue("The specified transitive tag key must be included in the requested tags.")
    passed_on = {key.lower() for key in ctx.principal.transitive_tags}
    if folded & passed_on:
        raise InvalidParameterValue(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
            "the calling session."
        )
    inherited = {key: value for key, value in ctx.principal.session_tags.items() if key.lower() in passed_on}
    return {**inherited, **given}, (*ctx.principal.transitive_tags, *transitive)


def packed_size(policies: tuple[str, ...], tags: dict[str, str]) -> int:
    """How much of the room for policies and tags is used, in percent; AWS does not tell how it packs them.

    Raises:
        PackedPolicyTooLarge: there is not enough.
    """
    text = "\0".join([*policies, *tags, *tags.values()])
    inline = max((len(each) for each in policies if not each.startswith("arn:")), default=0)
    size = math.ceil(100 * max(len(zlib.compress(text.encode())) if text else 0, inline) / _POLICY_CHARACTERS)
    if size > 100:
        raise PackedPolicyTooLarge(f"Packed policy consumes {size}% of allotted space, please use smaller policy.")
    return size


def _refuse_malformed(document: str) -> None:
    try:
        policy.parse(document)
    except policy.InvalidPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
