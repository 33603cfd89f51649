"""Which policy documents IAM takes, and the words with which it refuses others.

Source: the answers of AWS that the test suite of moto records (tests/test_iam/test_iam_policies.py), save those to
trust policies, which are as users report them; limits from "IAM and AWS STS quotas", IAM user guide.
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

_CURRENT = "2012-10-17"
_VERSIONS = (None, _CURRENT, "2008-10-17")
_ELEMENTS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_ELEMENTS = frozenset(
    ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition")
)
_VENDOR = re.compile(r"[A-Za-z0-9*?.-]+")
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "*")
_IAM_PATHS = (
    "user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
    "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
)  # fmt: skip
_SYNTAX = "Syntax errors in policy."
_LEGACY = "The policy failed legacy parsing"
_TRUST_ACTIONS = frozenset(
    ("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:TagSession",
     "sts:SetSourceIdentity", "sts:SetContext", "sts:*", "*")
)  # fmt: skip

Element = Mapping[str, Any]


@lru_cache(1024)  # pure, and an eighth of what reading a role costs: documents are read far more often than written
def encoded(document: str) -> str:
    """A document as answers carry it."""
    return quote(document, safe="")


def refuse_malformed(document: str, *, current: bool = False) -> None:
    """Accepts an identity-based policy, of the `current` version only where AWS asks for it.

    Raises:
        MalformedPolicyDocument: it is none.
    """
    statements = _statements(document, _SYNTAX)
    if any("Principal" in statement or "NotPrincipal" in statement for statement in statements):
        raise MalformedPolicyDocument("Policy document should not specify a principal.")
    if current and json.loads(document).get("Version") != _CURRENT:
        raise MalformedPolicyDocument("Policy document must be version 2012-10-17 or greater.")
    _refuse_legacy(statements)
    for statement in statements:
        actions = _refuse_actions(statement)
        _refuse_resources(statement)
        if any(action.count(":") > 1 for action in actions):
            raise MalformedPolicyDocument("Actions/Condition can contain only one colon.")
    _refuse_uncompilable(document)


def refuse_malformed_trust(document: str) -> None:
    """Accepts a role trust policy.

    Raises:
        MalformedPolicyDocument: it is none.
        LimitExceeded: it is too long.
    """
    refuse_long(document, TRUST_LIMIT, "ACLSizePerRole")
    statements = _statements(document, "This policy contains invalid Json")
    _refuse_legacy(statements)
    for statement in statements:
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


def size(document: str) -> int:
    """How long a document is as quotas count it: without blanks."""
    return len("".join(document.split()))


def refuse_long(document: str, limit: int, quota: str) -> None:
    """Accepts a document of up to `limit` characters.

    Raises:
        LimitExceeded: it is longer.
    """
    if size(document) > limit:
        raise LimitExceeded(f"Cannot exceed quota for {quota}: {limit}")


def _statements(document: str, message: str) -> list[Element]:
    """The statements of a document that has the form of a policy."""
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise MalformedPolicyDocument(message) from error
    if not isinstance(parsed, Mapping) or "Statement" not in parsed or not _ELEMENTS.issuperset(parsed):
        raise MalformedPolicyDocument(_SYNTAX)
    if parsed.get("Version") not in _VERSIONS or not isinstance(parsed.get("Id", ""), str):
        raise MalformedPolicyDocument(_SYNTAX)
    statements = policy.as_list(parsed["Statement"])
    if not statements or not all(_is_statement(each) for each in statements):
        raise MalformedPolicyDocument(_SYNTAX)
    return statements


def _is_statement(element: object) -> bool:
    if not isinstance(element, Mapping) or not _STATEMENT_ELEMENTS.issuperset(element):
        return False
    if not isinstance(element.get("Sid", ""), str) or str(element.get("Effect")).lower() not in ("allow", "deny"):
        return False
    if not isinstance(element.get("Condition", {}), Mapping):
        return False
    pairs = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
    return not any(one in element and other in element for one, other in pairs)


def _refuse_legacy(statements: list[Element]) -> None:
    """What AWS finds wrong before it looks into the statements."""
    for statement in statements:
        if statement["Effect"] not in ("Allow", "Deny"):
            raise MalformedPolicyDocument(_LEGACY)
        for resource in _texts(statement, "Resource", "NotResource"):
            parts = resource.split(":", 5)
            if resource.startswith("arn:aws:") and (len(parts) in (4, 5) or not parts[2]):
                raise MalformedPolicyDocument(_LEGACY)
    sids = [each["Sid"] for each in statements if "Sid" in each]
    if len(set(sids)) != len(sids):
        raise MalformedPolicyDocument("Statement IDs (SID) in a single policy must be unique.")


def _texts(statement: Element, *members: str) -> list[str]:
    values = [value for member in members for value in policy.as_list(statement.get(member, []))]
    if not all(isinstance(value, str) for value in values):
        raise MalformedPolicyDocument(_SYNTAX)
    return values


def _refuse_actions(statement: Element) -> list[str]:
    actions = _texts(statement, "Action", "NotAction")
    if not actions:
        raise MalformedPolicyDocument("Policy statement must contain actions.")
    for action in actions:
        vendor, colon, _ = action.partition(":")
        if action == "*":
            continue
        if not colon:
            raise MalformedPolicyDocument("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if not _VENDOR.fullmatch(vendor):
            raise MalformedPolicyDocument(f"Vendor {vendor} is not valid")
    return actions


def _refuse_resources(statement: Element) -> None:
    resources = _texts(statement, "Resource", "NotResource")
    if not resources:
        raise MalformedPolicyDocument("Policy statement must contain resources.")
    for resource in resources:
        if resource != "*":
            _refuse_resource(resource)


def _refuse_resource(resource: str) -> None:
    _, *parts = resource.split(":", 5)
    if not parts:
        raise MalformedPolicyDocument(f'Resource {resource} must be in ARN format or "*".')
    partition, service, region, _, path = [*parts, "*", "*", "*", "*"][:5]
    if partition not in _PARTITIONS:
        padded = ":".join(("arn", partition, service, region, _or_any(parts, 3), path))
        raise MalformedPolicyDocument(f'Partition "{partition}" is not valid for resource "{padded}".')
    if len(parts) == 1:
        raise MalformedPolicyDocument("Resource vendor must be fully qualified and cannot contain regexes.")
    has_region = len(parts) == 5 and region not in ("", "*")
    if service == "iam" and has_region:
        raise MalformedPolicyDocument(f"IAM resource {resource} cannot contain region information.")
    if service == "s3" and has_region:
        raise MalformedPolicyDocument(f"Resource {resource} can not contain region information.")
    if service == "iam" and len(parts) == 5 and not path.startswith(("*", "root", "${", "?", *_IAM_PATHS)):
        raise MalformedPolicyDocument(f'IAM resource path must either be "*" or start with {", ".join(_IAM_PATHS)}.')


def _or_any(parts: list[str], index: int) -> str:
    return parts[index] if index < len(parts) else "*"


def _refuse_uncompilable(document: str) -> None:
    try:
        policy.parse(document)
    except policy.InvalidPolicy as error:
        raise MalformedPolicyDocument(_SYNTAX) from error
