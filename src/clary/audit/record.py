"""Events as CloudTrail writes them.

Source: "CloudTrail record contents" and "CloudTrail userIdentity element", CloudTrail user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.audit.trail import INTERNAL
from clary.store.audit.resources import resource_type

if TYPE_CHECKING:
    from clary.store.audit import Event, Who

VERSION = "1.11"
_TYPES = {
    "root": "Root",
    "user": "IAMUser",
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "service": "AWSService",
    "anonymous": "AWSAccount",
}


def record(event: Event) -> dict[str, Any]:
    """The record of one event."""
    told: dict[str, Any] = {
        "eventVersion": VERSION,
        "userIdentity": identity(event.who, event.ip),
        "eventTime": f"{event.moment:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": event.source,
        "eventName": event.operation,
        "awsRegion": event.region,
        "sourceIPAddress": event.ip,
        "userAgent": event.agent,
    }
    if event.code:
        told |= {"errorCode": event.code, "errorMessage": event.message}
    return told | {
        "requestParameters": event.request or None,
        "responseElements": event.response or None,
        "requestID": event.id,
        "eventID": event.id,
        "readOnly": event.read_only,
        "resources": [{"accountId": event.account, "type": resource_type(arn), "ARN": arn} for arn in event.resources],
        "eventType": "AwsApiCall",
        "managementEvent": event.management,
        "recipientAccountId": event.account,
        "eventCategory": "Management" if event.management else "Data",
    }


def identity(who: Who, ip: str = "") -> dict[str, Any]:
    """The element `userIdentity`."""
    told: dict[str, Any] = {"type": _TYPES.get(who.kind, "Unknown")}
    if who.kind == "service":
        return told | {"invokedBy": who.name}
    if who.kind == "anonymous":
        return told | {"principalId": "", "accountId": "anonymous"}
    told |= {"principalId": who.id, "arn": who.arn, "accountId": who.account, "accessKeyId": who.key}
    if who.kind == "user":
        told["userName"] = who.name
    if who.role:
        told["sessionContext"] = _session(who)
    if ip == INTERNAL or ip.endswith(".amazonaws.com"):
        told["invokedBy"] = ip
    return {name: value for name, value in told.items() if value != ""}


def _session(who: Who) -> dict[str, Any]:
    issuer = {
        "type": "Role",
        "principalId": who.id.partition(":")[0],
        "arn": who.role,
        "accountId": who.account,
        "userName": who.name,
    }
    told: dict[str, Any] = {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": str(who.mfa).lower()}}
    return told | {"sourceIdentity": who.source_identity} if who.source_identity else told
