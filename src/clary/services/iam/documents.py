"""Which policy documents IAM takes, and the words with which it refuses others.

Source: messages as recorded from AWS in public test suites; limits from "IAM and AWS STS quotas", IAM user guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from clary.auth import policy
from clary.services.iam.errors import LimitExceeded, MalformedPolicyDocument

MANAGED_LIMIT = 6144
TRUST_LIMIT = 2048
INLINE_LIMITS = {"user": 2048, "group": 5120, "role": 10240}

_VERSIONS = (None, "2012-10-17", "2008-10-17")
_VENDOR = re.compile(r"[A-Za-z0-9*?-]+")
_TRUST_ACTIONS = frozenset(
    ("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:TagSession",
     "sts:SetSourceIdentity", "sts:SetContext", "sts:*", "*")
)  # fmt: skip

Element = Mapping[str, Any]


@lru_cache(1024)  # pure, and an eighth of what reading a role costs: documents are read far more often than written
def encoded(document: str) -> str:
    """A document as answers carry it."""
    return quote(document, safe="")


def refuse_malformed(document: str) -> None:
    """Accepts an identity-based policy.

    Raises:
        MalformedPolicyDocument: it is none.
    """
    for statement in _statements(document, "Syntax errors in policy."):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise MalformedPolicyDocument("Policy document should not specify a principal.")
        _refuse_actions(statement)
        _refuse_resources(statement)
    _refuse_uncompilable(document)


def refuse_malformed_trust(document: str) -> None:
    """Accepts a role trust policy.

    Raises:
        MalformedPolicyDocument: it is none.
        LimitExceeded: it is too long.
    """
    refuse_long(document, TRUST_LIMIT, "ACLSizePerRole")
    for statement in _statements(document, "This policy contains invalid Json"):
        for field in ("Resource", "NotResource"):
            if field in statement:
                raise MalformedPolicyDocument(f"Has prohibited field {field}")
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise MalformedPolicyDocument("Missing required field Principal")
        if "Action" not in statement:
            raise MalformedPolicyDocument("Missing required field Action")
        if not _TRUST_ACTIONS.issuperset(map(str, policy.as_list(statement["Action"]))):
            raise MalformedPolicyDocument("AssumeRole policy may only specify STS AssumeRole actions.")
    _refuse_uncompilable(document)


def aws_principals(document: str) -> Iterator[str]:
    """The accounts, users and roles that a trust policy names."""
    return _principals(document, "AWS")


def federated_principals(document: str) -> Iterator[str]:
    """The identity providers that a trust policy names."""
    return _principals(document, "Federated")


def _principals(document: str, member: str) -> Iterator[str]:
    for statement in policy.as_list(json.loads(document)["Statement"]):
        for element in ("Principal", "NotPrincipal"):
            principals = statement.get(element, {})
            if isinstance(principals, Mapping):
                yield from map(str, policy.as_list(principals.get(member, [])))


def refuse_long(document: str, limit: int, quota: str) -> None:
    """Accepts a document of up to `limit` characters, blanks not counted.

    Raises:
        LimitExceeded: it is longer.
    """
    if len("".join(document.split())) > limit:
        raise LimitExceeded(f"Cannot exceed quota for {quota}: {limit}")


def _statements(document: str, message: str) -> list[Element]:
    try:
        parsed = json.loads(document)
    except ValueError as error:
        raise MalformedPolicyDocument(message) from error
    if not isinstance(parsed, Mapping) or "Statement" not in parsed:
        raise MalformedPolicyDocument("Syntax errors in policy.")
    if parsed.get("Version") not in _VERSIONS:
        raise MalformedPolicyDocument("The policy must contain a valid version string")
    statements = policy.as_list(parsed["Statement"])
    if not statements or not all(isinstance(each, Mapping) for each in statements):
        raise MalformedPolicyDocument("Syntax errors in policy.")
    sids = [each["Sid"] for each in statements if "Sid" in each]
    if len(set(map(str, sids))) != len(sids):
        raise MalformedPolicyDocument("Statement IDs (SID) in a single policy must be unique.")
    return statements


def _refuse_actions(statement: Element) -> None:
    if ("Action" in statement) == ("NotAction" in statement):
        raise MalformedPolicyDocument("Policy statement must contain actions.")
    for action in policy.as_list(statement.get("Action", statement.get("NotAction"))):
        vendor, colon, _ = str(action).partition(":")
        if action == "*":
            continue
        if not colon:
            raise MalformedPolicyDocument("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if not _VENDOR.fullmatch(vendor):
            raise MalformedPolicyDocument(f"Vendor {vendor} is not valid")


def _refuse_resources(statement: Element) -> None:
    if ("Resource" in statement) == ("NotResource" in statement):
        raise MalformedPolicyDocument("Policy statement must contain resources.")
    for resource in policy.as_list(statement.get("Resource", statement.get("NotResource"))):
        if resource != "*" and not str(resource).startswith("arn:"):
            raise MalformedPolicyDocument(f'Resource {resource} must be in ARN format or "*".')


def _refuse_uncompilable(document: str) -> None:
    try:
        policy.parse(document)
    except policy.InvalidPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
