"""An instance as EC2 tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import networks
from .images import ROOT_DEVICE, architecture
from .instance_types import known_type
from .resources import tag_list

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""Source: InstanceState in the EC2 API reference."""


def state(status: str) -> Document:
    """A state with its number."""
    return {"Code": CODES[status], "Name": status}


def instance(ctx: Context, record: Record) -> Document:
    """The description of one instance; a terminated one has lost its network and disk."""
    spec, observed = record.spec, record.observed
    answer: Document = {
        "InstanceId": record.name,
        "ImageId": spec["ImageId"],
        "InstanceType": spec["InstanceType"],
        "State": state(record.status),
        "StateTransitionReason": observed.get("StateTransitionReason", ""),
        "AmiLaunchIndex": observed["AmiLaunchIndex"],
        "LaunchTime": observed["LaunchTime"],
        "Placement": {"AvailabilityZone": spec["AvailabilityZone"], "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "disabled"},
        "Architecture": architecture(),
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "VirtualizationType": "hvm",
        "RootDeviceName": ROOT_DEVICE,
        "RootDeviceType": "ebs",
        "EbsOptimized": False,
        "EnaSupport": False,
        "SourceDestCheck": True,
        "ProductCodes": [],
        "PublicDnsName": "",
        "PrivateDnsName": "",
        "CpuOptions": {"CoreCount": _processors(record), "ThreadsPerCore": 1},
        "MetadataOptions": metadata_options(record),
        "ClientToken": spec.get("ClientToken", ""),
        "Tags": tag_list(record.tags),
        "BlockDeviceMappings": [],
        "NetworkInterfaces": [],
        "SecurityGroups": [],
    }
    for member, value in (
        ("KeyName", spec.get("KeyName")),
        ("IamInstanceProfile", observed.get("IamInstanceProfile")),
        ("StateReason", observed.get("StateReason")),
    ):
        if value:
            answer[member] = value
    return answer if record.status == "terminated" else answer | _attachments(ctx, record)


def metadata_options(record: Record) -> Document:
    """How the metadata of the instance are served."""
    asked = record.spec.get("MetadataOptions") or {}
    return {
        "State": "applied",
        "HttpTokens": asked.get("HttpTokens", "required"),
        "HttpPutResponseHopLimit": asked.get("HttpPutResponseHopLimit", 2),
        "HttpEndpoint": asked.get("HttpEndpoint", "enabled"),
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": asked.get("InstanceMetadataTags", "disabled"),
    }


def host_name(record: Record) -> str:
    """The private DNS name of an instance."""
    name = f"ip-{record.observed['PrivateIpAddress'].replace('.', '-')}"
    return f"{name}.ec2.internal" if record.region == "us-east-1" else f"{name}.{record.region}.compute.internal"


def _processors(record: Record) -> int:
    """What the instance got at its last start, else what its type has."""
    return int(record.observed.get("VCpus") or known_type(record.spec["InstanceType"]).vcpus)


def _attachments(ctx: Context, record: Record) -> Document:
    spec, observed = record.spec, record.observed
    groups = observed["Groups"]
    vpc = networks.default_vpc(ctx)
    private = {"PrivateDnsName": host_name(record), "PrivateIpAddress": observed["PrivateIpAddress"]}
    return {
        **private,
        "VpcId": vpc,
        "SubnetId": spec["SubnetId"],
        "SecurityGroups": groups,
        "BlockDeviceMappings": [
            {
                "DeviceName": ROOT_DEVICE,
                "Ebs": {
                    "VolumeId": observed["VolumeId"],
                    "Status": "attached",
                    "AttachTime": record.created,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "NetworkInterfaces": [
            {
                **private,
                "NetworkInterfaceId": observed["NetworkInterfaceId"],
                "OwnerId": record.account,
                "Status": "in-use",
                "SubnetId": spec["SubnetId"],
                "VpcId": vpc,
                "Groups": groups,
                "SourceDestCheck": True,
                "InterfaceType": "interface",
                "Description": "",
                "Attachment": {
                    "AttachmentId": f"eni-attach-{observed['NetworkInterfaceId'].removeprefix('eni-')}",
                    "AttachTime": record.created,
                    "DeleteOnTermination": True,
                    "DeviceIndex": 0,
                    "Status": "attached",
                },
                "PrivateIpAddresses": [{"Primary": True, **private}],
                "Ipv6Addresses": [],
            }
        ],
    }
