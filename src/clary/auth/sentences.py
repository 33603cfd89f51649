"""AWS's words for a refusal.

Source: "Troubleshoot access denied error messages", IAM user guide; the differences between services are as seen in
answers of AWS: S3 quotes the ARN, EC2 puts a sentence before, IAM calls entities by their names, and a role that does
not trust the caller gives no reason. An explicit deny of a managed policy is told with its ARN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.arn import split
from clary.auth.decision import PolicyKind
from clary.context import PrincipalKind

if TYPE_CHECKING:
    from clary.auth.check import Check
    from clary.auth.decision import Decision
    from clary.context import Principal

_ARTICLES = {PolicyKind.IDENTITY: "an", PolicyKind.TRUST: "the"}
_NAMED = ("user", "group", "role", "instance-profile")
_BY_ARN = frozenset(("PassRole", "CreateUser", "CreateGroup", "CreateRole", "CreateInstanceProfile"))
"""Actions of IAM that are told with the ARN of the entity."""


def sentence(principal: Principal, check: Check, decision: Decision) -> str:
    """What the caller hears who may not do this."""
    service = check.action.partition(":")[0]
    if principal.kind is PrincipalKind.ANONYMOUS:
        return "Access Denied" if service == "s3" else f"User: anonymous is not authorized to perform: {check.action}"
    text = f"User: {principal.arn} is not authorized to perform: {check.action}{_resource(service, check)}"
    if decision.explicit or decision.kind is not PolicyKind.TRUST:
        text += f" {_reason(check.action, decision)}"
    return f"You are not authorized to perform this operation. {text}" if service == "ec2" else text


def _resource(service: str, check: Check) -> str:
    if service == "iam":
        return f" on resource: {_entity(check)}"
    if check.resource == "*":
        return ""
    return f' on resource: "{check.resource}"' if service == "s3" else f" on resource: {check.resource}"


def _entity(check: Check) -> str:
    """How IAM calls what a check is about."""
    try:
        kind, _, path = split(check.resource).resource.partition("/")
    except ValueError:
        return check.resource
    operation = check.action.partition(":")[2]
    name = path.rpartition("/")[2]
    if not name or operation in _BY_ARN:
        return check.resource
    if kind == "policy":
        return f"policy {name if operation == 'CreatePolicy' else check.resource}"
    return f"{kind.replace('-', ' ')} {name}" if kind in _NAMED else check.resource


def _reason(action: str, decision: Decision) -> str:
    kind = decision.kind.value
    if not decision.explicit or decision.statement is None:
        return f"because no {kind} allows the {action} action"
    source = decision.statement.source
    reason = f"with an explicit deny in {_ARTICLES.get(decision.kind, 'a')} {kind}"
    return f"{reason}: {source.arn}" if source.arn else reason
