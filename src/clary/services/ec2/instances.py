"""Instances: launched, described, and what their consoles say."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import orjson

from clary import instance_folder
from clary.services.service import in_thread
from clary.store.records import Query

from . import filters, kinds, launch
from .errors import IdempotentParameterMismatch, InvalidParameterCombination
from .instance_shape import instance, state
from .instance_types import require_sandboxes
from .resources import Family, tags_for

if TYPE_CHECKING:
    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record

CONSOLE_BYTES = 65536
"""How much of its end GetConsoleOutput tells, as on AWS."""


class Instances(Family):
    """What runs, and what ran a short while ago."""

    def run_instances(self, ctx: Context, request: api.RunInstancesRequest) -> Document:
        """Starts instances; a repeated client token gives those of the first call."""
        digest = _digest(request)
        earlier = self._earlier(ctx, request.get("ClientToken"), digest)
        if earlier:
            return _reservation(ctx, earlier)
        require_sandboxes(self._platform)
        tags = tags_for(request, kinds.INSTANCE)
        planned = launch.plan(self._resources, ctx, request)
        reservation = f"r-{kinds.INSTANCE.new_id()[2:]}"
        records = [
            self._create(ctx, planned, index, {"ReservationId": reservation, "RequestDigest": digest}, (request, tags))
            for index in range(planned.count)
        ]
        return _reservation(ctx, records)

    @in_thread
    def describe_instances(self, ctx: Context, request: api.DescribeInstancesRequest) -> Document:
        """Instances by reservation, terminated ones of the last hour included."""
        if request.get("InstanceIds") and request.get("MaxResults"):
            raise InvalidParameterCombination("The parameter instancesSet cannot be used with the parameter maxResults")
        records = self._resources.select(ctx, kinds.INSTANCE, request.get("InstanceIds"))
        items = [_member_of_reservation(ctx, record) for record in records]
        answer = filters.describe("Reservations", items, request, _FILTERS)
        answer["Reservations"] = _by_reservation(answer["Reservations"])
        return answer

    @in_thread
    def describe_instance_status(self, ctx: Context, request: api.DescribeInstanceStatusRequest) -> Document:
        """Whether instances are well; only running ones unless all are asked for."""
        records = self._resources.select(ctx, kinds.INSTANCE, request.get("InstanceIds"))
        if not request.get("IncludeAllInstances"):
            records = [record for record in records if record.status == "running"]
        return filters.describe("InstanceStatuses", map(_status, records), request, _STATUS_FILTERS)

    @in_thread
    def get_console_output(self, ctx: Context, request: api.GetConsoleOutputRequest) -> api.GetConsoleOutputResult:
        """The end of what the instance printed, of all its starts."""
        record = self._resources.find(ctx, kinds.INSTANCE, request["InstanceId"])
        said = instance_folder.of(self._platform.settings.home, record.name).console_end(CONSOLE_BYTES)
        output = base64.b64encode(said).decode()
        return {"InstanceId": record.name, "Timestamp": ctx.now, "Output": output}

    def _earlier(self, ctx: Context, token: str | None, digest: str) -> list[Record]:
        if not token:
            return []
        found = self._resources.records.all(
            Query(kinds.INSTANCE.name, ctx.account, ctx.region, where=(("ClientToken", token),))
        )
        if found and found[0].observed["RequestDigest"] != digest:
            raise IdempotentParameterMismatch(
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            )
        return found

    def _create(
        self,
        ctx: Context,
        planned: launch.Launch,
        index: int,
        observed: Document,
        asked: tuple[api.RunInstancesRequest, Document],
    ) -> Record:
        request, tags = asked
        name, volume, interface = (kind.new_id() for kind in (kinds.INSTANCE, kinds.VOLUME, kinds.NETWORK_INTERFACE))
        address, zone = planned.addresses[index], planned.spec["AvailabilityZone"]
        disk = {"InstanceId": name, "Size": planned.disk_gib, "AvailabilityZone": zone}
        self._resources.create(ctx, kinds.VOLUME, volume, disk, status="in-use", tags=tags_for(request, kinds.VOLUME))
        card = {
            "InstanceId": name,
            "SubnetId": planned.subnet.name,
            "AvailabilityZone": zone,
            "PrivateIpAddress": address,
            "Groups": planned.groups,
        }
        self._resources.create(
            ctx,
            kinds.NETWORK_INTERFACE,
            interface,
            card,
            status="in-use",
            tags=tags_for(request, kinds.NETWORK_INTERFACE),
        )
        observed = {
            **observed,
            "AmiLaunchIndex": index,
            "LaunchTime": ctx.now,
            "PrivateIpAddress": address,
            "Groups": planned.groups,
            "IamInstanceProfile": planned.profile,
            "VolumeId": volume,
            "NetworkInterfaceId": interface,
        }
        return self._resources.create(
            ctx, kinds.INSTANCE, name, planned.spec, status="pending", observed=observed, tags=tags, due=ctx.now
        )


def _digest(request: Members) -> str:
    content = {member: value for member, value in request.items() if member != "DryRun"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _reservation(ctx: Context, records: list[Record]) -> Document:
    return _by_reservation([_member_of_reservation(ctx, record) for record in records])[0]


def _member_of_reservation(ctx: Context, record: Record) -> Document:
    return {**instance(ctx, record), "ReservationId": record.observed["ReservationId"], "OwnerId": record.account}


def _by_reservation(instances: list[Document]) -> list[Document]:
    reservations: dict[str, Document] = {}
    for each in instances:
        identifier, owner = each.pop("ReservationId"), each.pop("OwnerId")
        reservation = reservations.setdefault(
            identifier, {"ReservationId": identifier, "OwnerId": owner, "Groups": [], "Instances": []}
        )
        reservation["Instances"].append(each)
    return list(reservations.values())


def _status(record: Record) -> Document:
    health = "ok" if record.status == "running" else "not-applicable"
    summary: Document = {"Status": health}
    if record.status == "running":
        summary["Details"] = [{"Name": "reachability", "Status": "passed"}]
    return {
        "InstanceId": record.name,
        "AvailabilityZone": record.spec["AvailabilityZone"],
        "InstanceState": state(record.status),
        "InstanceStatus": summary,
        "SystemStatus": summary,
        "Events": [],
    }


_FILTERS = filters.table(
    "InstanceId InstanceType ImageId KeyName VpcId SubnetId PrivateIpAddress PrivateDnsName ReservationId OwnerId "
    "Architecture LaunchTime ClientToken RootDeviceName RootDeviceType VirtualizationType PlatformDetails",
    {
        "instance-state-name": "State.Name",
        "instance-state-code": "State.Code",
        "availability-zone": "Placement.AvailabilityZone",
        "iam-instance-profile.arn": "IamInstanceProfile.Arn",
        "iam-instance-profile.id": "IamInstanceProfile.Id",
        "instance.group-id": "SecurityGroups.GroupId",
        "instance.group-name": "SecurityGroups.GroupName",
        "group-id": "SecurityGroups.GroupId",
        "group-name": "SecurityGroups.GroupName",
        "launch-index": "AmiLaunchIndex",
        "dns-name": "PublicDnsName",
        "ip-address": "PublicIpAddress",
        "state-reason-code": "StateReason.Code",
        "reason": "StateTransitionReason",
        "network-interface.network-interface-id": "NetworkInterfaces.NetworkInterfaceId",
        "block-device-mapping.volume-id": "BlockDeviceMappings.Ebs.VolumeId",
        "metadata-options.http-tokens": "MetadataOptions.HttpTokens",
    },
)
_STATUS_FILTERS = filters.table(
    "AvailabilityZone InstanceId",
    {
        "instance-state-name": "InstanceState.Name",
        "instance-state-code": "InstanceState.Code",
        "instance-status.status": "InstanceStatus.Status",
        "instance-status.reachability": "InstanceStatus.Details.Status",
        "system-status.status": "SystemStatus.Status",
        "system-status.reachability": "SystemStatus.Details.Status",
    },
)
