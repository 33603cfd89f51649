"""The default VPC and its subnets, as records: nothing is routed or filtered by them."""

from __future__ import annotations

import hashlib
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING

from clary.services.service import recorded
from clary.store.records import AlreadyExists

from . import filters, kinds
from .errors import InvalidParameterValue
from .resources import Family, Resources, tag_list

if TYPE_CHECKING:
    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record

VPC_BLOCK = "172.31.0.0/16"
"""As every default VPC on AWS."""

ZONES = ("a", "b", "c")
_RESERVED = 5
"""Addresses that AWS keeps of every subnet: the first four and the last."""


class Networks(Family):
    """Regions, zones, VPCs and subnets."""

    def describe_regions(self, ctx: Context, request: api.DescribeRegionsRequest) -> Document:
        """The region of the platform, and the one that the caller signed for."""
        known = dict.fromkeys((self._platform.settings.region, ctx.region))
        for name in request.get("RegionNames") or ():
            if name not in known:
                raise InvalidParameterValue(f"Invalid region name: {name}")
        wanted = request.get("RegionNames") or known
        regions = [
            {"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "opt-in-not-required"}
            for name in wanted
        ]
        return {"Regions": filters.select(regions, request.get("Filters") or (), _REGION_FILTERS)}

    def describe_availability_zones(self, ctx: Context, request: api.DescribeAvailabilityZonesRequest) -> Document:
        """Three zones, all of them on this machine."""
        zones = [zone(ctx, letter) for letter in ZONES]
        for wanted, key in ((request.get("ZoneNames"), "ZoneName"), (request.get("ZoneIds"), "ZoneId")):
            if wanted:
                zones = [each for each in zones if each[key] in wanted]
                if len(zones) < len(set(wanted)):
                    raise InvalidParameterValue(f"Invalid availability zone: [{', '.join(wanted)}]")
        return {"AvailabilityZones": filters.select(zones, request.get("Filters") or (), _ZONE_FILTERS)}

    @recorded
    def describe_vpcs(self, ctx: Context, request: api.DescribeVpcsRequest) -> Document:
        """The default VPC."""
        prepare(self._resources, ctx)
        vpcs = [_vpc(record) for record in self._resources.select(ctx, kinds.VPC, request.get("VpcIds"))]
        return filters.describe("Vpcs", vpcs, request, _VPC_FILTERS)

    @recorded
    def describe_subnets(self, ctx: Context, request: api.DescribeSubnetsRequest) -> Document:
        """The default subnets, one a zone."""
        prepare(self._resources, ctx)
        used = taken_addresses(self._resources, ctx)
        subnets = [
            _subnet(record, used) for record in self._resources.select(ctx, kinds.SUBNET, request.get("SubnetIds"))
        ]
        return filters.describe("Subnets", subnets, request, _SUBNET_FILTERS)


def zone(ctx: Context, letter: str) -> Document:
    """An availability zone of the caller's region."""
    return {
        "ZoneName": f"{ctx.region}{letter}",
        "ZoneId": f"{_short(ctx.region)}-az{ZONES.index(letter) + 1}",
        "RegionName": ctx.region,
        "State": "available",
        "OptInStatus": "opt-in-not-required",
        "GroupName": ctx.region,
        "NetworkBorderGroup": ctx.region,
        "ZoneType": "availability-zone",
        "Messages": [],
    }


def default_vpc(ctx: Context) -> str:
    """The id of the default VPC, the same for ever."""
    return _fixed(ctx, kinds.VPC, "default")


def default_subnet(ctx: Context, zone_name: str) -> str:
    """The id of the default subnet of a zone."""
    return _fixed(ctx, kinds.SUBNET, zone_name)


def default_group(ctx: Context) -> str:
    """The id of the security group `default`."""
    return _fixed(ctx, kinds.SECURITY_GROUP, "default")


def prepare(resources: Resources, ctx: Context) -> None:
    """Makes the default network of an account and region when it is first looked at."""
    vpc = default_vpc(ctx)
    if resources.get(ctx, kinds.VPC, vpc) is not None:
        return
    with suppress(AlreadyExists):  # another thread was first
        for letter, block in zip(ZONES, ipaddress.ip_network(VPC_BLOCK).subnets(new_prefix=20), strict=False):
            name = f"{ctx.region}{letter}"
            spec = {"VpcId": vpc, "CidrBlock": str(block), "AvailabilityZone": name}
            resources.create(ctx, kinds.SUBNET, default_subnet(ctx, name), spec, status="available")
        spec = {"GroupName": "default", "Description": "default VPC security group", "VpcId": vpc}
        group = default_group(ctx)
        resources.create(ctx, kinds.SECURITY_GROUP, group, spec, observed={"Rules": default_rules(ctx, group)})
        resources.create(ctx, kinds.VPC, vpc, {"CidrBlock": VPC_BLOCK}, status="available")


def default_rules(ctx: Context, group: str) -> list[Document]:
    """What the group `default` lets through: everything out, and everything from itself in."""
    return [
        {
            "SecurityGroupRuleId": _rule_id(ctx, group, "in"),
            "IsEgress": False,
            "IpProtocol": "-1",
            "FromPort": -1,
            "ToPort": -1,
            "ReferencedGroupInfo": {"GroupId": group, "UserId": ctx.account},
        },
        everything_out(ctx, group),
    ]


def everything_out(ctx: Context, group: str) -> Document:
    """The egress rule with which every group begins."""
    return {
        "SecurityGroupRuleId": _rule_id(ctx, group, "out"),
        "IsEgress": True,
        "IpProtocol": "-1",
        "FromPort": -1,
        "ToPort": -1,
        "CidrIpv4": "0.0.0.0/0",
    }


def taken_addresses(resources: Resources, ctx: Context) -> set[str]:
    """The private addresses that instances have."""
    return {record.spec["PrivateIpAddress"] for record in resources.all(ctx, kinds.NETWORK_INTERFACE)}


def free_address(subnet: Record, taken: set[str]) -> str:
    """The lowest free address of a subnet.

    Raises:
        InvalidParameterValue: there is none.
    """
    block = ipaddress.ip_network(subnet.spec["CidrBlock"])
    for number in range(_RESERVED - 1, block.num_addresses - 1):
        address = str(block[number])
        if address not in taken:
            return address
    raise InvalidParameterValue(f"There are not enough free addresses in subnet '{subnet.name}'")


def holds(subnet: Record, address: str) -> bool:
    """Whether an instance in the subnet may have this address."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(subnet.spec["CidrBlock"])
    except ValueError:
        return False


def _fixed(ctx: Context, kind: kinds.Kind, what: str) -> str:
    digest = hashlib.sha256(f"{ctx.account}/{ctx.region}/{kind.name}/{what}".encode()).hexdigest()
    return f"{kind.prefix}-{digest[:17]}"


def _rule_id(ctx: Context, group: str, what: str) -> str:
    return f"sgr-{hashlib.sha256(f'{ctx.account}/{group}/{what}'.encode()).hexdigest()[:17]}"


def _short(region: str) -> str:
    """`us-east-1` -> `use1`, as zone ids begin."""
    first, *direction, number = region.split("-")
    return first + "".join(word[0] for word in direction) + number


def _vpc(record: Record) -> Document:
    return {
        "VpcId": record.name,
        "OwnerId": record.account,
        "State": record.status,
        "CidrBlock": record.spec["CidrBlock"],
        "CidrBlockAssociationSet": [
            {
                "AssociationId": f"vpc-cidr-assoc-{record.name.removeprefix('vpc-')}",
                "CidrBlock": record.spec["CidrBlock"],
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "DhcpOptionsId": "default",
        "InstanceTenancy": "default",
        "IsDefault": True,
        "Tags": tag_list(record.tags),
    }


def _subnet(record: Record, used: set[str]) -> Document:
    block = ipaddress.ip_network(record.spec["CidrBlock"])
    letter = record.spec["AvailabilityZone"][-1]
    here = sum(ipaddress.ip_address(address) in block for address in used)
    return {
        "SubnetId": record.name,
        "SubnetArn": record.arn,
        "VpcId": record.spec["VpcId"],
        "OwnerId": record.account,
        "State": record.status,
        "CidrBlock": record.spec["CidrBlock"],
        "AvailableIpAddressCount": block.num_addresses - _RESERVED - here,
        "AvailabilityZone": record.spec["AvailabilityZone"],
        "AvailabilityZoneId": f"{_short(record.region)}-az{ZONES.index(letter) + 1}",
        "DefaultForAz": True,
        "MapPublicIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6Native": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Tags": tag_list(record.tags),
    }


_REGION_FILTERS = filters.table("RegionName Endpoint OptInStatus")
_ZONE_FILTERS = filters.table("ZoneName ZoneId RegionName State ZoneType GroupName OptInStatus")
_VPC_FILTERS = filters.table(
    "VpcId OwnerId State DhcpOptionsId IsDefault",
    {"cidr": "CidrBlock", "isDefault": "IsDefault", "cidr-block-association.cidr-block": "CidrBlock"},
)
_SUBNET_FILTERS = filters.table(
    "SubnetId SubnetArn VpcId OwnerId State CidrBlock AvailableIpAddressCount AvailabilityZone AvailabilityZoneId "
    "DefaultForAz MapPublicIpOnLaunch",
    {"defaultForAz": "DefaultForAz", "cidr": "CidrBlock", "availabilityZone": "AvailabilityZone"},
)
