"""The disks and network interfaces of instances, which come and go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.service import recorded

from . import filters, kinds, networks
from .images import ROOT_DEVICE
from .resources import Family, tag_list

if TYPE_CHECKING:
    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record


class Volumes(Family):
    """What instances are made of."""

    def describe_volumes(self, ctx: Context, request: api.DescribeVolumesRequest) -> Document:
        """One volume an instance: the folder that is its disk."""
        records = self._resources.select(ctx, kinds.VOLUME, request.get("VolumeIds"))
        return filters.describe("Volumes", map(_volume, records), request, _VOLUME_FILTERS)

    @recorded
    def describe_network_interfaces(self, ctx: Context, request: api.DescribeNetworkInterfacesRequest) -> Document:
        """One interface an instance: its private address, which is a record."""
        records = self._resources.select(ctx, kinds.NETWORK_INTERFACE, request.get("NetworkInterfaceIds"))
        interfaces = [_interface(ctx, record) for record in records]
        return filters.describe("NetworkInterfaces", interfaces, request, _INTERFACE_FILTERS)


def _volume(record: Record) -> Document:
    return {
        "VolumeId": record.name,
        "Size": record.spec["Size"],
        "State": record.status,
        "AvailabilityZone": record.spec["AvailabilityZone"],
        "CreateTime": record.created,
        "VolumeType": "gp3",
        "Encrypted": False,
        "MultiAttachEnabled": False,
        "SnapshotId": "",
        "Attachments": [
            {
                "VolumeId": record.name,
                "InstanceId": record.spec["InstanceId"],
                "Device": ROOT_DEVICE,
                "State": "attached",
                "AttachTime": record.created,
                "DeleteOnTermination": True,
            }
        ],
        "Tags": tag_list(record.tags),
    }


def _interface(ctx: Context, record: Record) -> Document:
    spec = record.spec
    return {
        "NetworkInterfaceId": record.name,
        "Status": record.status,
        "OwnerId": record.account,
        "RequesterManaged": False,
        "InterfaceType": "interface",
        "Description": "",
        "SubnetId": spec["SubnetId"],
        "VpcId": networks.default_vpc(ctx),
        "AvailabilityZone": spec["AvailabilityZone"],
        "PrivateIpAddress": spec["PrivateIpAddress"],
        "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": spec["PrivateIpAddress"]}],
        "Groups": spec["Groups"],
        "SourceDestCheck": True,
        "Attachment": {
            "AttachmentId": f"eni-attach-{record.name.removeprefix('eni-')}",
            "InstanceId": spec["InstanceId"],
            "InstanceOwnerId": record.account,
            "DeviceIndex": 0,
            "Status": "attached",
            "AttachTime": record.created,
            "DeleteOnTermination": True,
        },
        "TagSet": tag_list(record.tags),
    }


_VOLUME_FILTERS = filters.table(
    "VolumeId Size AvailabilityZone CreateTime VolumeType Encrypted SnapshotId",
    {
        "status": "State",
        "attachment.instance-id": "Attachments.InstanceId",
        "attachment.device": "Attachments.Device",
        "attachment.status": "Attachments.State",
        "attachment.delete-on-termination": "Attachments.DeleteOnTermination",
    },
)
_INTERFACE_FILTERS = filters.table(
    "NetworkInterfaceId Status OwnerId SubnetId VpcId AvailabilityZone PrivateIpAddress Description InterfaceType",
    {
        "group-id": "Groups.GroupId",
        "group-name": "Groups.GroupName",
        "attachment.instance-id": "Attachment.InstanceId",
        "attachment.status": "Attachment.Status",
        "addresses.private-ip-address": "PrivateIpAddresses.PrivateIpAddress",
    },
)
