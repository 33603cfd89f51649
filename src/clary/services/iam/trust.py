"""Whom trust and bucket policies name: users and roles that are there, and stay the same when they are renamed.

Source: "AWS JSON policy elements: Principal", IAM user guide: a stored policy means the unique id of a user or role.
It shows the id when the user or role is deleted, and does not mean another one that comes to bear the name.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from clary.arn import split
from clary.auth import entities, policy
from clary.services.iam.documents import aws_principals, federated_principals, refuse_malformed_trust
from clary.services.iam.errors import MalformedPolicyDocument

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.iam.directory import Directory
    from clary.store.records import Record


def refuse_trust(directory: Directory, ctx: Context, document: str) -> None:
    """Accepts a trust policy whose principals of this account are there.

    Raises:
        MalformedPolicyDocument: it is none, or names somebody who is not there.
        LimitExceeded: it is too long.
    """
    refuse_malformed_trust(document)
    for principal in aws_principals(document):
        if not _exists(directory, ctx, principal):
            raise MalformedPolicyDocument(f'Invalid principal in policy: "AWS":"{principal}"')
    for provider in federated_principals(document):
        if provider.startswith("arn:") and provider.count(":") < 5:
            raise MalformedPolicyDocument("Federated principals must be valid domain names or SAML metadata ARNs")


def rename_principal(directory: Directory, ctx: Context, former: str, present: str) -> None:
    """Writes the present ARN of a user or role, or the id of a deleted one, into the policies that name it."""
    for kind, member in entities.RESOURCE_POLICIES.items():
        for record in directory.all(ctx, kind):
            document = record.spec.get(member, "")
            if former in document and former in aws_principals(document):
                directory.records.edit(record, partial(_rename, member, former, present))


def _rename(member: str, former: str, present: str, record: Record) -> Record:
    return replace(record, spec={**record.spec, member: _renamed(record.spec[member], former, present)})


def _renamed(document: str, former: str, present: str) -> str:
    parsed = json.loads(document)
    for statement in policy.as_list(parsed["Statement"]):
        for element in ("Principal", "NotPrincipal"):
            principals = statement.get(element)
            if isinstance(principals, dict) and "AWS" in principals:
                principals["AWS"] = _replaced(principals["AWS"], former, present)
    return json.dumps(parsed)


def _replaced(names: Any, former: str, present: str) -> Any:
    if isinstance(names, list):
        return [present if name == former else name for name in names]
    return present if names == former else names


def _exists(directory: Directory, ctx: Context, principal: str) -> bool:
    if principal == "*" or (principal.isdigit() and len(principal) == 12):
        return True
    try:
        parts = split(principal)
    except ValueError:
        return False
    if parts.account != ctx.account or parts.resource == "root" or parts.service == "sts":
        return parts.service in ("iam", "sts")
    record = directory.records.by_arn(principal)
    return record is not None and record.kind in entities.PRINCIPALS
