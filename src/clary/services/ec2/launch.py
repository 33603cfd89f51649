"""From a RunInstances request to what each of its instances will be."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clary.auth import entities

from . import kinds, networks
from .errors import (
    InstanceLimitExceeded,
    InvalidGroupNotFound,
    InvalidKeyPairNotFound,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidUserDataMalformed,
    MissingParameter,
    Unsupported,
)
from .images import ROOT_DEVICE, check_images
from .instance_types import launchable_type

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record

    from .resources import Resources

DEFAULT_TYPE = "t3.micro"
DISK_GIB = 8
USER_DATA_BYTES = 16384
MOST_INSTANCES = 20
"""As many as a new account may run on AWS; the names of one machine's processors are not the limit, its memory is."""

_UNSUPPORTED = (
    "LaunchTemplate",
    "InstanceMarketOptions",
    "ElasticGpuSpecification",
    "ElasticInferenceAccelerators",
    "LicenseSpecifications",
    "Ipv6Addresses",
    "SecondaryInterfaces",
    "KernelId",
    "RamdiskId",
)


@dataclass(frozen=True, slots=True)
class Launch:
    """What all instances of one request share."""

    count: int
    spec: Document
    subnet: Record
    groups: list[Document]
    profile: Document | None = None
    disk_gib: int = DISK_GIB
    addresses: list[str] = field(default_factory=list)


def plan(resources: Resources, ctx: Context, request: Members) -> Launch:
    """Checks a request and fills in its defaults.

    Raises:
        ServiceError: something it names does not exist, or cannot be.
    """
    for member in _UNSUPPORTED:
        if request.get(member):
            raise Unsupported(f"Clary does not support {member} of RunInstances.")
    if (request.get("HibernationOptions") or {}).get("Configured"):
        raise Unsupported("Clary does not support hibernation.")
    if not request.get("ImageId"):
        raise MissingParameter("The request must contain the parameter ImageId")
    check_images([request["ImageId"]])
    instance_type = request.get("InstanceType") or DEFAULT_TYPE
    launchable_type(instance_type)
    count = _count(resources, ctx, request)
    _check_key(resources, ctx, request.get("KeyName"))
    user_data(request.get("UserData"))
    networks.prepare(resources, ctx)
    interface = _interface(request)
    subnet = _subnet(resources, ctx, request, interface)
    groups = _groups(resources, ctx, request, interface)
    spec = {
        **{member: value for member, value in request.items() if member not in {"TagSpecifications", "DryRun"}},
        "InstanceType": instance_type,
        "SubnetId": subnet.name,
        "AvailabilityZone": subnet.spec["AvailabilityZone"],
    }
    return Launch(
        count,
        spec,
        subnet,
        groups,
        profile(resources, ctx, request.get("IamInstanceProfile")),
        _disk_gib(request),
        _addresses(resources, ctx, request, subnet, count),
    )


def user_data(text: str | None) -> bytes:
    """The user data that a request holds in base64.

    Raises:
        InvalidUserDataMalformed: it is not base64.
        InvalidParameterValue: it is too long.
    """
    try:
        data = base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        try:
            data = base64.b64decode((text or "").replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidUserDataMalformed("Invalid BASE64 encoding of user data.") from None
    if len(data) > USER_DATA_BYTES:
        raise InvalidParameterValue(f"User data is limited to {USER_DATA_BYTES} bytes")
    return data


def profile(resources: Resources, ctx: Context, wanted: Document | None) -> Document | None:
    """ARN and id of an instance profile that is named by either.

    Raises:
        InvalidParameterValue: there is none.
        InvalidParameterCombination: it is named by both.
    """
    if not wanted:
        return None
    if wanted.get("Arn") and wanted.get("Name"):
        raise InvalidParameterCombination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'"
        )
    record = find_profile(resources, ctx, wanted)
    if record is None:
        member = "arn" if wanted.get("Arn") else "name"
        value = wanted.get("Arn") or wanted.get("Name")
        word = "ARN" if member == "arn" else "name"
        raise InvalidParameterValue(
            f"Value ({value}) for parameter iamInstanceProfile.{member} is invalid. Invalid IAM Instance Profile {word}"
        )
    return {"Arn": record.arn, "Id": record.observed["InstanceProfileId"]}


def find_profile(resources: Resources, ctx: Context, wanted: Document) -> Record | None:
    """The record of an instance profile, or None."""
    if wanted.get("Arn"):
        record = resources.records.by_arn(wanted["Arn"])
        return record if record is not None and record.kind == entities.INSTANCE_PROFILE else None
    return resources.records.get(entities.INSTANCE_PROFILE, ctx.account, "", wanted.get("Name") or "")


def _count(resources: Resources, ctx: Context, request: Members) -> int:
    least, most = _number(request, "MinCount"), _number(request, "MaxCount")
    if least > most:
        raise InvalidParameterCombination(
            f"Invalid value '{least}' for MinCount. MinCount must be less than or equal to MaxCount."
        )
    alive = [record for record in resources.all(ctx, kinds.INSTANCE) if record.status in {"pending", "running"}]
    room = MOST_INSTANCES - len(alive)
    if least > room:
        raise InstanceLimitExceeded(
            f"You have requested more instances ({len(alive) + least}) than your current instance limit of "
            f"{MOST_INSTANCES} allows for the specified instance type."
        )
    return min(most, room)


def _number(request: Members, member: str) -> int:
    value = request.get(member)
    if value is None:
        raise MissingParameter(f"The request must contain the parameter {member}")
    if value < 1:
        name = member[0].lower() + member[1:]
        raise InvalidParameterValue(
            f"Value ({value}) for parameter {name} is invalid. Parameter must be greater than 0"
        )
    return int(value)


def _check_key(resources: Resources, ctx: Context, name: str | None) -> None:
    if name and resources.get(ctx, kinds.KEY_PAIR, name) is None:
        raise InvalidKeyPairNotFound(f"The key pair '{name}' does not exist")


def _interface(request: Members) -> Document:
    """The primary network interface, when the request describes it."""
    interfaces = request.get("NetworkInterfaces") or []
    if not interfaces:
        return {}
    if len(interfaces) > 1:
        raise Unsupported("Clary does not support more than one network interface.")
    for member, text in (
        ("SubnetId", "subnet ID"),
        ("SecurityGroupIds", "security groups"),
        ("SecurityGroups", "security groups"),
    ):
        if request.get(member):
            raise InvalidParameterCombination(
                f"Network interfaces and an instance-level {text} may not be specified on the same request"
            )
    if interfaces[0].get("NetworkInterfaceId"):
        raise Unsupported("Clary does not support network interfaces that exist already.")
    return dict(interfaces[0])


def _subnet(resources: Resources, ctx: Context, request: Members, interface: Document) -> Record:
    wanted = request.get("SubnetId") or interface.get("SubnetId")
    zone = (request.get("Placement") or {}).get("AvailabilityZone")
    if not wanted:
        zones = [f"{ctx.region}{letter}" for letter in networks.ZONES]
        if zone and zone not in zones:
            raise InvalidParameterValue(f"Invalid availability zone: [{zone}]")
        wanted = networks.default_subnet(ctx, zone or zones[0])
    return resources.find(ctx, kinds.SUBNET, wanted)


def _groups(resources: Resources, ctx: Context, request: Members, interface: Document) -> list[Document]:
    wanted = list(request.get("SecurityGroupIds") or interface.get("Groups") or ())
    names = request.get("SecurityGroups") or ()
    if wanted and names:
        raise InvalidParameterCombination("The parameter groupName cannot be used with the parameter groupId")
    if names:
        known = {record.spec["GroupName"]: record for record in resources.all(ctx, kinds.SECURITY_GROUP)}
        for name in names:
            if name not in known:
                raise InvalidGroupNotFound(f"The security group '{name}' does not exist")
        return [_group(known[name]) for name in names]
    return [_group(resources.find(ctx, kinds.SECURITY_GROUP, each)) for each in wanted or [networks.default_group(ctx)]]


def _group(record: Record) -> Document:
    return {"GroupId": record.name, "GroupName": record.spec["GroupName"]}


def _disk_gib(request: Members) -> int:
    size = DISK_GIB
    for mapping in request.get("BlockDeviceMappings") or ():
        if "NoDevice" in mapping:
            continue
        if mapping.get("DeviceName") not in {ROOT_DEVICE, "/dev/sda1"}:
            raise Unsupported(
                f"Clary gives an instance one disk, {ROOT_DEVICE}; it does not support {mapping.get('DeviceName')}."
            )
        size = (mapping.get("Ebs") or {}).get("VolumeSize", size)
    if size < 1:
        raise InvalidParameterValue(f"Volume of {size}GiB is too small")
    return int(size)


def _addresses(resources: Resources, ctx: Context, request: Members, subnet: Record, count: int) -> list[str]:
    taken = networks.taken_addresses(resources, ctx)
    wanted = request.get("PrivateIpAddress")
    if wanted:
        if count > 1:
            raise InvalidParameterCombination("A private IP address may be given for a single instance only")
        if wanted in taken or not networks.holds(subnet, wanted):
            raise InvalidParameterValue(
                f"Address {wanted} is in use or does not fall within the subnet's address range"
            )
        return [wanted]
    found: list[str] = []
    for _ in range(count):
        found.append(networks.free_address(subnet, taken | set(found)))
    return found
