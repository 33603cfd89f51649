"""Which permissions an EC2 call needs, on which resources.

Source: "Actions, resources, and condition keys for Amazon EC2" in the service authorization reference: Describe calls
know no resource; RunInstances needs permission for every resource it uses or makes, tags and passed roles included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import arn
from clary.auth import entities
from clary.services.service import Check

from . import kinds, networks
from .errors import InvalidID
from .launch import DEFAULT_TYPE, find_profile
from .resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

    Keys = Mapping[str, str | Sequence[str]]

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
    action = f"ec2:{ctx.operation}"
    if ctx.operation.startswith("Describe"):
        return [Check(action)]
    kind = _CREATED.get(ctx.operation)
    if kind is not None:
        name = request.get("KeyName") or "*"
        checks = [Check(action, kind.arn(ctx, name), _tag_keys(request, kind))]
        return [*checks, *_tagging(ctx, request, kind, name)]
    own, resources = _tag_keys(request, None), Resources(platform)
    checks = [Check(action, resource, {**keys, **own}) for resource, keys in _named(resources, ctx, request)]
    return [*checks, *_passed_role(resources, ctx, request)]


def _named(resources: Resources, ctx: Context, request: Document) -> list[tuple[str, Keys]]:
    """The ARNs and tags of the resources that a request names."""
    if request.get("KeyName"):
        return [_resource(resources, ctx, kinds.KEY_PAIR, str(request["KeyName"]))]
    for member in _MEMBERS:
        value = request.get(member)
        if value:
            identifiers = [value] if isinstance(value, str) else list(value)
            return [_identified(resources, ctx, identifier) for identifier in identifiers]
    return [("*", {})]


def _identified(resources: Resources, ctx: Context, identifier: str) -> tuple[str, Keys]:
    try:
        kind = kinds.kind_of(identifier)
    except InvalidID:
        return "*", {}
    return _resource(resources, ctx, kind, identifier)


def _resource(resources: Resources, ctx: Context, kind: kinds.Kind, name: str) -> tuple[str, Keys]:
    record = resources.get(ctx, kind, name)
    keys: dict[str, str | Sequence[str]] = {}
    if record is not None:
        for prefix in ("aws:ResourceTag", "ec2:ResourceTag"):
            keys.update({f"{prefix}/{key}": value for key, value in record.tags.items()})
        if kind is kinds.INSTANCE:
            keys["ec2:InstanceType"] = record.spec["InstanceType"]
    return kind.arn(ctx, name), keys


def _launch(resources: Resources, ctx: Context, request: Document) -> Iterator[Check]:
    action = "ec2:RunInstances"
    size = {"ec2:InstanceType": request.get("InstanceType") or DEFAULT_TYPE}
    yield Check(action, kinds.INSTANCE.arn(ctx, "*"), {**size, **_tag_keys(request, kinds.INSTANCE)})
    yield Check(action, arn.build("ec2", ctx.region, "", f"image/{request.get('ImageId') or '*'}"))
    for kind in (kinds.VOLUME, kinds.NETWORK_INTERFACE):
        yield Check(action, kind.arn(ctx, "*"), _tag_keys(request, kind))
    subnet = request.get("SubnetId") or networks.default_subnet(ctx, f"{ctx.region}{networks.ZONES[0]}")
    yield Check(action, *_resource(resources, ctx, kinds.SUBNET, subnet))
    for group in request.get("SecurityGroupIds") or [networks.default_group(ctx)]:
        yield Check(action, *_resource(resources, ctx, kinds.SECURITY_GROUP, group))
    if request.get("KeyName"):
        yield Check(action, *_resource(resources, ctx, kinds.KEY_PAIR, request["KeyName"]))
    for kind in (kinds.INSTANCE, kinds.VOLUME, kinds.NETWORK_INTERFACE):
        yield from _tagging(ctx, request, kind, "*")
    yield from _passed_role(resources, ctx, request)


def _passed_role(resources: Resources, ctx: Context, request: Document) -> Iterator[Check]:
    wanted = request.get("IamInstanceProfile")
    record = find_profile(resources, ctx, wanted) if wanted else None
    for name in record.spec.get("Roles", ()) if record is not None else ():
        role = resources.records.get(entities.ROLE, ctx.account, "", name)
        if role is not None:
            yield Check("iam:PassRole", role.arn, {"iam:PassedToService": "ec2.amazonaws.com"})


def _tagging(ctx: Context, request: Document, kind: kinds.Kind, name: str) -> Iterator[Check]:
    keys = _tag_keys(request, kind)
    if keys:
        yield Check("ec2:CreateTags", kind.arn(ctx, name), {**keys, "ec2:CreateAction": ctx.operation})


def _tag_keys(request: Document, kind: kinds.Kind | None) -> Keys:
    """The condition keys of the tags that a request gives; without a kind, of its own `Tags`."""
    tags = request.get("Tags") or () if kind is None else _specified(request, kind)
    if not tags:
        return {}
    keys: dict[str, str | Sequence[str]] = {"aws:TagKeys": [tag["Key"] for tag in tags if "Key" in tag]}
    keys.update({f"aws:RequestTag/{tag['Key']}": tag.get("Value") or "" for tag in tags if "Key" in tag})
    return keys


def _specified(request: Document, kind: kinds.Kind) -> list[Document]:
    return [
        tag
        for specification in request.get("TagSpecifications") or ()
        if specification.get("ResourceType") == kind.name
        for tag in specification.get("Tags") or ()
    ]
