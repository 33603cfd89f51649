"""Which permissions an EC2 call needs, on which resources, with which condition keys.

Source: "Actions, resources, and condition keys for Amazon EC2" in the service authorization reference: Describe calls
know no resource; RunInstances needs permission for every resource it uses or makes, tags and passed roles included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import arn
from clary.auth import entities
from clary.auth.needs import late, pass_role, request_tags
from clary.services.service import Check

from . import kinds, networks
from .errors import InvalidID
from .launch import DEFAULT_TYPE, find_profile
from .resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.auth.needs import Keys
    from clary.auth.patterns import Lookup
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

OF_LAUNCHES: Mapping[str, Mapping[str, str]] = {
    "instance": {
        "ec2:AvailabilityZone": "Placement.AvailabilityZone",
        "ec2:EbsOptimized": "EbsOptimized",
        "ec2:InstanceProfile": "IamInstanceProfile.Arn",
        "ec2:MetadataHttpEndpoint": "MetadataOptions.HttpEndpoint",
        "ec2:MetadataHttpPutResponseHopLimit": "MetadataOptions.HttpPutResponseHopLimit",
        "ec2:MetadataHttpTokens": "MetadataOptions.HttpTokens",
        "ec2:Tenancy": "Placement.Tenancy",
    },
    "volume": {
        "ec2:AvailabilityZone": "Placement.AvailabilityZone",
        "ec2:Encrypted": "BlockDeviceMappings.Ebs.Encrypted",
        "ec2:VolumeIops": "BlockDeviceMappings.Ebs.Iops",
        "ec2:VolumeSize": "BlockDeviceMappings.Ebs.VolumeSize",
        "ec2:VolumeThroughput": "BlockDeviceMappings.Ebs.Throughput",
        "ec2:VolumeType": "BlockDeviceMappings.Ebs.VolumeType",
    },
    "network-interface": {
        "ec2:AssociatePublicIpAddress": "NetworkInterfaces.AssociatePublicIpAddress",
        "ec2:AvailabilityZone": "Placement.AvailabilityZone",
    },
}
"""The condition keys of what RunInstances makes, and where a request says their values."""

OF_RESOURCES: Mapping[str, Mapping[str, str]] = {
    "instance": {
        "ec2:AvailabilityZone": "AvailabilityZone",
        "ec2:InstanceProfile": "IamInstanceProfile.Arn",
        "ec2:InstanceType": "InstanceType",
        "ec2:MetadataHttpTokens": "MetadataOptions.HttpTokens",
    },
    "security-group": {"ec2:VpcID": "VpcId"},
    "subnet": {"ec2:AvailabilityZone": "AvailabilityZone", "ec2:VpcID": "VpcId"},
    "volume": {"ec2:AvailabilityZone": "AvailabilityZone", "ec2:VolumeSize": "Size", "ec2:VolumeType": "VolumeType"},
}
"""The condition keys of resources that are there, and where their records say the values."""

_MEMBERS = ("InstanceIds", "InstanceId", "Resources", "GroupId", "VpcId", "KeyPairId")
"""Members that name the resources of a call, the first one given being meant."""

_CREATED = {
    "CreateSecurityGroup": kinds.SECURITY_GROUP,
    "CreateKeyPair": kinds.KEY_PAIR,
    "ImportKeyPair": kinds.KEY_PAIR,
}


def access(platform: Platform, ctx: Context, request: Document) -> list[Check]:
    """The checks of one EC2 call."""
    if ctx.operation == "RunInstances":
        return list(_launch(Resources(platform), ctx, request))
    if ctx.operation.startswith("Describe"):
        return [_check(ctx, "*", {})]
    kind = _CREATED.get(ctx.operation)
    if kind is not None:
        name = request.get("KeyName") or "*"
        checks = [_check(ctx, kind.arn(ctx, name), _tag_keys(request, kind))]
        return [*checks, *_tagging(ctx, request, kind, name)]
    own, resources = request_tags(request.get("Tags")), Resources(platform)
    return [*_named(resources, ctx, request, own), *_passed_role(resources, ctx, request)]


def _named(resources: Resources, ctx: Context, request: Document, keys: Keys) -> Iterator[Check]:
    """The permissions on the resources that a request names."""
    if request.get("KeyName"):
        yield _used(resources, ctx, kinds.KEY_PAIR, str(request["KeyName"]), keys)
        return
    named = next((request[member] for member in _MEMBERS if request.get(member)), ())
    for identifier in [named] if isinstance(named, str) else named or ["*"]:
        try:
            kind = kinds.kind_of(identifier)
        except InvalidID:
            yield _check(ctx, "*", keys)
        else:
            yield _used(resources, ctx, kind, identifier, keys)


def _launch(resources: Resources, ctx: Context, request: Document) -> Iterator[Check]:
    size: Keys = {"ec2:InstanceType": str(request.get("InstanceType") or DEFAULT_TYPE)}
    yield _made(ctx, request, kinds.INSTANCE, size)
    yield _check(ctx, arn.build("ec2", ctx.region, "", f"image/{request.get('ImageId') or '*'}"), {})
    for kind in (kinds.VOLUME, kinds.NETWORK_INTERFACE):
        yield _made(ctx, request, kind, {})
    subnet = request.get("SubnetId") or networks.default_subnet(ctx, f"{ctx.region}{networks.ZONES[0]}")
    yield _used(resources, ctx, kinds.SUBNET, subnet)
    for group in request.get("SecurityGroupIds") or [networks.default_group(ctx)]:
        yield _used(resources, ctx, kinds.SECURITY_GROUP, group)
    if request.get("KeyName"):
        yield _used(resources, ctx, kinds.KEY_PAIR, request["KeyName"])
    for kind in (kinds.INSTANCE, kinds.VOLUME, kinds.NETWORK_INTERFACE):
        yield from _tagging(ctx, request, kind, "*")
    yield from _passed_role(resources, ctx, request)


def _check(ctx: Context, resource: str, keys: Keys, lookup: Lookup | None = None) -> Check:
    return Check(f"ec2:{ctx.operation}", resource, {"ec2:Region": ctx.region, **keys}, late=lookup)


def _made(ctx: Context, request: Document, kind: kinds.Kind, keys: Keys) -> Check:
    """The permission for what a launch makes, with what the request says of it."""
    lookup = late(_OF_LAUNCHES[kind.name], request, lambda: None)
    return _check(ctx, kind.arn(ctx, "*"), {**keys, **_tag_keys(request, kind)}, lookup)


def _used(resources: Resources, ctx: Context, kind: kinds.Kind, name: str, keys: Keys | None = None) -> Check:
    """The permission on a resource, with what is stored of it."""
    record = resources.get(ctx, kind, name)
    lookup = late(_OF_RESOURCES.get(kind.name, {}), record.spec if record else {}, lambda: record)
    return _check(ctx, kind.arn(ctx, name), keys or {}, lookup)


def _passed_role(resources: Resources, ctx: Context, request: Document) -> Iterator[Check]:
    wanted = request.get("IamInstanceProfile")
    record = find_profile(resources, ctx, wanted) if wanted else None
    for name in record.spec.get("Roles", ()) if record is not None else ():
        role = resources.records.get(entities.ROLE, ctx.account, "", name)
        if role is not None:
            yield pass_role(resources.records, role.arn, "ec2.amazonaws.com", kinds.INSTANCE.arn(ctx, "*"))


def _tagging(ctx: Context, request: Document, kind: kinds.Kind, name: str) -> Iterator[Check]:
    keys = _tag_keys(request, kind)
    if keys:
        told: Keys = {"ec2:Region": ctx.region, "ec2:CreateAction": ctx.operation, **keys}
        yield Check("ec2:CreateTags", kind.arn(ctx, name), told)


def _tag_keys(request: Document, kind: kinds.Kind) -> Keys:
    """The condition keys of the tags that a request gives to what it makes of a kind."""
    return request_tags(
        [
            tag
            for specification in request.get("TagSpecifications") or ()
            if specification.get("ResourceType") == kind.name
            for tag in specification.get("Tags") or ()
        ]
    )


def _folded(table: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {kind: {key.lower(): (place,) for key, place in keys.items()} for kind, keys in table.items()}


_OF_LAUNCHES = _folded(OF_LAUNCHES)
_OF_RESOURCES = _folded(OF_RESOURCES)
