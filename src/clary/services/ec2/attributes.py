"""What may be changed about an instance after its launch."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import kinds, launch
from .errors import (
    IncorrectInstanceState,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    Unsupported,
)
from .images import ROOT_DEVICE
from .instance_shape import metadata_options
from .instance_types import launchable_type
from .resources import Family

if TYPE_CHECKING:
    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record

_ATTRIBUTES = {
    "instanceType": "InstanceType",
    "userData": "UserData",
    "disableApiTermination": "DisableApiTermination",
    "disableApiStop": "DisableApiStop",
    "instanceInitiatedShutdownBehavior": "InstanceInitiatedShutdownBehavior",
    "groupSet": "Groups",
    "sourceDestCheck": "SourceDestCheck",
    "ebsOptimized": "EbsOptimized",
}
_FORM = {"InstanceId", "DryRun", "Attribute", "Value"}
_SWITCHES = {"DisableApiTermination", "DisableApiStop", "SourceDestCheck", "EbsOptimized"}
_ONLY_STOPPED = {"InstanceType", "UserData", "EbsOptimized"}
_BEHAVIOURS = {"stop", "terminate"}


class Attributes(Family):
    """One attribute a call."""

    def modify_instance_attribute(self, ctx: Context, request: api.ModifyInstanceAttributeRequest) -> None:
        """Changes an attribute; a new type counts from the next start."""
        member, value = _asked(request)
        record = self._resources.find(ctx, kinds.INSTANCE, request["InstanceId"])
        if record.status in {"shutting-down", "terminated"}:
            raise IncorrectInstanceState(f"The instance '{record.name}' is {record.status} and cannot be changed.")
        changed = {member: self._checked(member, value)}
        if member == "Groups":
            groups = self._groups(ctx, changed["Groups"])
            self._regroup_interface(ctx, record, groups)

            def change(now: Record) -> Record:
                return replace(now, observed={**now.observed, "Groups": groups})
        else:

            def change(now: Record) -> Record:
                if member in _ONLY_STOPPED and now.status != "stopped":
                    raise IncorrectInstanceState(f"The instance '{now.name}' is not in the 'stopped' state.")
                return replace(now, spec={**now.spec, **changed}, modified=ctx.now)

        self._resources.records.edit(record, change)

    def describe_instance_attribute(self, ctx: Context, request: api.DescribeInstanceAttributeRequest) -> Document:
        """The value of one attribute."""
        record = self._resources.find(ctx, kinds.INSTANCE, request["InstanceId"])
        attribute = request["Attribute"]
        return {"InstanceId": record.name, **_told(record, attribute)}

    def modify_instance_metadata_options(
        self, ctx: Context, request: api.ModifyInstanceMetadataOptionsRequest
    ) -> Document:
        """Changes how the metadata of the instance are served, at once."""
        record = self._resources.find(ctx, kinds.INSTANCE, request["InstanceId"])
        asked = {
            member: request[member]
            for member in ("HttpTokens", "HttpEndpoint", "HttpPutResponseHopLimit", "InstanceMetadataTags")
            if request.get(member) is not None
        }

        def change(now: Record) -> Record:
            options = {**(now.spec.get("MetadataOptions") or {}), **asked}
            return replace(now, spec={**now.spec, "MetadataOptions": options}, modified=ctx.now)

        changed = self._resources.records.edit(record, change)
        return {"InstanceId": record.name, "InstanceMetadataOptions": metadata_options(changed)}

    def _checked(self, member: str, value: Any) -> Any:
        if member == "InstanceType":
            launchable_type(value)
        if member == "UserData":
            launch.user_data(value)
        if member == "InstanceInitiatedShutdownBehavior" and value not in _BEHAVIOURS:
            name = "instanceInitiatedShutdownBehavior"
            raise InvalidParameterValue(f"Value ({value}) for parameter {name} is invalid. Expected: stop, terminate.")
        return value

    def _groups(self, ctx: Context, identifiers: list[str]) -> list[Document]:
        records = [self._resources.find(ctx, kinds.SECURITY_GROUP, each) for each in identifiers]
        return [{"GroupId": record.name, "GroupName": record.spec["GroupName"]} for record in records]

    def _regroup_interface(self, ctx: Context, instance: Record, groups: list[Document]) -> None:
        interface = self._resources.find(ctx, kinds.NETWORK_INTERFACE, instance.observed["NetworkInterfaceId"])
        self._resources.records.edit(interface, lambda now: replace(now, spec={**now.spec, "Groups": groups}))


def _asked(request: Members) -> tuple[str, Any]:
    """The member to change and its new value, from either of the two forms of the request."""
    found: Document = {member: value for member, value in request.items() if member not in _FORM and value is not None}
    attribute: str = request.get("Attribute") or ""
    if attribute:
        found[_ATTRIBUTES.get(attribute, attribute)] = {"Value": request.get("Value")}
    for member in found:
        if member not in _ATTRIBUTES.values():
            raise Unsupported(f"Clary does not support changing the attribute {member} of an instance.")
    if not found:
        raise MissingParameter("The request must contain the attribute to change")
    if len(found) > 1:
        raise InvalidParameterCombination("Fields for multiple attribute types specified")
    ((member, value),) = found.items()
    value = value.get("Value") if isinstance(value, dict) else value
    if value is None:
        raise MissingParameter(f"The request must contain a value for the attribute {member}")
    return member, _plain(member, value)


def _plain(member: str, value: Any) -> Any:
    """The value as it is kept, whichever form of the request it came in."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str) and member == "Groups":
        return [value]
    if isinstance(value, str) and member in _SWITCHES:
        return value.lower() == "true"
    return value


def _told(record: Record, attribute: str) -> Document:
    spec, observed = record.spec, record.observed
    disk = {"VolumeId": observed["VolumeId"], "Status": "attached", "DeleteOnTermination": True}
    known: dict[str, Document] = {
        "groupSet": {"Groups": observed["Groups"]},
        "blockDeviceMapping": {"BlockDeviceMappings": [{"DeviceName": ROOT_DEVICE, "Ebs": disk}]},
        "rootDeviceName": {"RootDeviceName": {"Value": ROOT_DEVICE}},
        "userData": {"UserData": {"Value": spec["UserData"]} if spec.get("UserData") else {}},
        "instanceInitiatedShutdownBehavior": {
            "InstanceInitiatedShutdownBehavior": {"Value": spec.get("InstanceInitiatedShutdownBehavior", "stop")}
        },
        "instanceType": {"InstanceType": {"Value": spec["InstanceType"]}},
        "sourceDestCheck": {"SourceDestCheck": {"Value": spec.get("SourceDestCheck", True)}},
    }
    for name in ("disableApiTermination", "disableApiStop", "ebsOptimized"):
        known[name] = {_ATTRIBUTES[name]: {"Value": bool(spec.get(_ATTRIBUTES[name]))}}
    if attribute not in known:
        raise Unsupported(f"Clary does not support the attribute {attribute} of an instance.")
    return known[attribute]
