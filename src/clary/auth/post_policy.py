"""Browser uploads: a form that carries a signed policy, which says what may be uploaded.

Source: "Creating a POST policy" in the Amazon S3 API reference.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clary.auth import errors
from clary.errors import AccessDenied, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_COVERED = frozenset({"awsaccesskeyid", "signature", "policy", "file", "x-amz-signature", "submit"})


class InvalidPolicyDocument(ServiceError):
    """The policy of the form cannot be read."""


class EntityTooLarge(ServiceError):
    """The upload is larger than the policy allows."""


class EntityTooSmall(ServiceError):
    """The upload is smaller than the policy allows."""


@dataclass(frozen=True, slots=True)
class SignedForm:
    """The signature fields of a form; `scope` is empty for signature version 2."""

    policy: str
    access_key: str
    signature: str
    scope: tuple[str, ...]


def signed_form(form: Mapping[str, str]) -> SignedForm | None:
    """The signature in a form with lower-case field names, None for an anonymous one.

    Raises:
        ServiceError: a part is missing or unreadable.
    """
    policy = form.get("policy", "")
    if "x-amz-signature" in form:
        scope = form.get("x-amz-credential", "").split("/")
        if len(scope) != 5 or not policy:
            raise errors.AuthorizationQueryParametersError("The x-amz-credential or policy field is mal-formed.")
        return SignedForm(policy, scope[0], form["x-amz-signature"], tuple(scope[1:4]))
    if "awsaccesskeyid" in form:
        if not policy:
            raise errors.InvalidArgument("Bucket POST must contain a field named 'policy'.")
        return SignedForm(policy, form["awsaccesskeyid"], form.get("signature", ""), ())
    return None


def refuse_violation(form: Mapping[str, str], bucket: str, size_bytes: int | None, now: datetime) -> None:
    """Accepts a form whose fields and size keep to its policy; `form` has lower-case field names.

    The size is None as long as it is not known.

    Raises:
        ServiceError: the policy has expired, cannot be read, or does not cover the form.
    """
    policy = _decoded(form.get("policy", ""))
    if _expiration(policy) <= now:
        raise AccessDenied("Invalid according to Policy: Policy expired.")
    fields = {**form, "bucket": bucket}
    covered = set(_NOT_COVERED)
    conditions = policy.get("conditions")
    if not isinstance(conditions, list):
        raise InvalidPolicyDocument("Invalid Policy: Invalid 'conditions' value: must be a List.")
    for condition in conditions:
        covered.add(_refuse_unmet(condition, fields, size_bytes))
    for name in form:
        if name not in covered and not name.startswith("x-ignore-"):
            raise AccessDenied(f"Invalid according to Policy: Extra input fields: {name}")


def _decoded(policy: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode(policy, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.") from error
    if not isinstance(document, dict):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.")
    return document


def _expiration(policy: dict[str, Any]) -> datetime:
    try:
        expiration = datetime.fromisoformat(str(policy["expiration"]))
    except (KeyError, ValueError) as error:
        raise InvalidPolicyDocument("Invalid Policy: Invalid 'expiration' value.") from error
    return expiration if expiration.tzinfo else expiration.replace(tzinfo=UTC)


def _refuse_unmet(condition: object, fields: Mapping[str, str], size_bytes: int | None) -> str:
    """Accepts a condition that the form meets; tells the field that it covers."""
    match condition:
        case dict() if len(condition) == 1:
            name, wanted = next(iter(condition.items()))
            operator, name = "eq", str(name).lower()
        case ["content-length-range", low, high]:
            if not (str(low).isdigit() and str(high).isdigit()):
                raise InvalidPolicyDocument(f"Invalid Policy: Invalid condition: {json.dumps(condition)}")
            if size_bytes is not None:
                _refuse_size(size_bytes, int(str(low)), int(str(high)))
            return ""
        case [str(operator), str(name), wanted]:
            operator, name = operator.lower(), name.removeprefix("$").lower()
        case _:
            raise InvalidPolicyDocument(f"Invalid Policy: Invalid condition: {json.dumps(condition)}")
    value, wanted = fields.get(name, ""), str(wanted)
    # A list of content types begins so when each of them does.
    begins = all(part.strip().startswith(wanted) for part in (value.split(",") if name == "content-type" else [value]))
    met = value == wanted if operator == "eq" else operator == "starts-with" and begins
    if not met:
        shown = json.dumps([operator, f"${name}", wanted])
        raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {shown}")
    return name


def _refuse_size(size_bytes: int, low: int, high: int) -> None:
    members = {"ProposedSize": str(size_bytes), "MinSizeAllowed": str(low), "MaxSizeAllowed": str(high)}
    if size_bytes < low:
        raise EntityTooSmall("Your proposed upload is smaller than the minimum allowed size", **members)
    if size_bytes > high:
        raise EntityTooLarge("Your proposed upload exceeds the maximum allowed size", **members)
