"""Finds and keeps the users, groups, roles and policies of an account; what is not there gets AWS's words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.auth import entities
from clary.auth.managed import AWS_MANAGED
from clary.services.iam.errors import (
    ConcurrentModification,
    EntityAlreadyExists,
    InvalidInput,
    InvalidParameterValue,
    LimitExceeded,
    NoSuchEntity,
    UnmodifiableEntity,
    ValidationError,
)
from clary.store.records import AlreadyExists, Conflict, Query, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

_MISSING = {
    entities.USER: "The user with name {} cannot be found.",
    entities.GROUP: "The group with name {} cannot be found.",
    entities.ROLE: "The role with name {} cannot be found.",
    entities.INSTANCE_PROFILE: "Instance Profile {} cannot be found.",
    entities.ACCESS_KEY: "The Access Key with id {} cannot be found.",
    entities.SERVER_CERTIFICATE: "The Server Certificate with name {} cannot be found.",
    entities.MFA_DEVICE: "VirtualMFADevice with serial number {} doesn't exist.",
    entities.OIDC_PROVIDER: "OpenIDConnect Provider not found for arn {}",
    entities.SAML_PROVIDER: "Manifest not found for arn {}",
}
_TAKEN = {
    entities.USER: "User with name {} already exists.",
    entities.GROUP: "Group with name {} already exists.",
    entities.ROLE: "Role with name {} already exists.",
    entities.INSTANCE_PROFILE: "Instance Profile {} already exists.",
    entities.POLICY: "A policy called {} already exists. Duplicate names are not allowed.",
    entities.MFA_DEVICE: "MFADevice entity at the same path and name already exists.",
    entities.SERVER_CERTIFICATE: "The Server Certificate with name {} already exists.",
    entities.SAML_PROVIDER: "Provider with name {} already exists.",
    entities.OIDC_PROVIDER: "Provider with url {} already exists.",
}
SERVICE_LINKED = "/aws-service-role/"
"""The path of roles that belong to services begins so."""
_MOST_TAGS = 50


class Directory:
    """The entities of IAM."""

    def __init__(self, platform: Platform) -> None:
        self.records = platform.records

    def find(self, ctx: Context, kind: str, name: str) -> Record:
        """The entity of this name.

        Raises:
            NoSuchEntity: there is none.
        """
        record = self.records.get(kind, ctx.account, "", name)
        if record is None:
            raise NoSuchEntity(_MISSING[kind].format(name))
        return record

    def find_changeable(self, ctx: Context, kind: str, name: str) -> Record:
        """The entity of this name, which is the account's own to change.

        Raises:
            NoSuchEntity: there is none.
            UnmodifiableEntity: it is a role that belongs to a service.
        """
        entity = self.find(ctx, kind, name)
        if entity.spec["Path"].startswith(SERVICE_LINKED):
            raise UnmodifiableEntity(
                f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
            )
        return entity

    def find_policy(self, policy_arn: str) -> Record:
        """The managed policy of the account with this ARN.

        Raises:
            NoSuchEntity: there is none.
        """
        record = self.records.by_arn(policy_arn)
        if record is None or record.kind != entities.POLICY:
            raise NoSuchEntity(f"Policy {policy_arn} was not found.")
        return record

    def find_by_arn(self, kind: str, resource: str) -> Record:
        """The MFA device or identity provider with this ARN.

        Raises:
            NoSuchEntity: there is none.
        """
        record = self.records.by_arn(resource)
        if record is None or record.kind != kind:
            raise NoSuchEntity(_MISSING[kind].format(resource))
        return record

    def refuse_unattachable(self, policy_arn: str) -> None:
        """Accepts the ARN of a managed policy, of the account or of AWS.

        Raises:
            NoSuchEntity: there is none.
            ValidationError: it is no ARN.
        """
        if policy_arn.count(":") < 5:
            raise ValidationError("Invalid ARN:  Could not be parsed!")
        record = self.records.by_arn(policy_arn)
        if policy_arn not in AWS_MANAGED and (record is None or record.kind != entities.POLICY):
            raise NoSuchEntity(f"Policy {policy_arn} does not exist or is not attachable.")

    def refuse_boundary(self, policy_arn: str) -> None:
        """Accepts the ARN of a managed policy as a permissions boundary.

        Raises:
            InvalidParameterValue: it is not the ARN of a policy.
            NoSuchEntity: there is none.
        """
        if ":policy/" not in policy_arn:
            raise InvalidParameterValue(f"Value ({policy_arn}) for parameter PermissionsBoundary is invalid.")
        self.refuse_unattachable(policy_arn)

    def create(self, ctx: Context, kind: str, name: str, spec: Document, observed: Mapping[str, Any]) -> Record:
        """A new entity; tags of the request become tags of the record.

        Raises:
            EntityAlreadyExists: the name is taken.
        """
        self._refuse_taken(ctx, kind, name)
        path = spec.setdefault("Path", "/")
        tags = new_tags({}, spec.pop("Tags", []))
        resource = arn.build("iam", "", ctx.account, f"{kind}{path}{name}")
        record = Record(
            kind, ctx.account, "", name, resource, spec, ctx.now, ctx.now, observed=dict(observed), tags=tags
        )
        try:
            return self.records.create(record)
        except AlreadyExists as error:
            raise EntityAlreadyExists(_TAKEN[kind].format(name)) from error

    def change(self, ctx: Context, record: Record, **members: object) -> Record:
        """Stores new members of the entity's spec; None removes one."""
        spec = {name: value for name, value in {**record.spec, **members}.items() if value is not None}
        return self.save(replace(record, spec=spec, modified=ctx.now))

    def save(self, record: Record) -> Record:
        """Stores a changed entity.

        Raises:
            ConcurrentModification: it was changed since it was read.
        """
        try:
            return self.records.update(record)
        except Conflict as error:
            raise _concurrent(record) from error

    def rename(self, ctx: Context, record: Record, name: str, **members: object) -> Record:
        """Stores the entity under another name or path; its unique id stays.

        Raises:
            EntityAlreadyExists: the name is taken.
            ConcurrentModification: it was changed since it was read.
        """
        spec = {**record.spec, **members}
        resource = arn.build("iam", "", record.account, f"{record.kind}{spec['Path']}{name}")
        if name.lower() != record.name.lower():
            self._refuse_taken(ctx, record.kind, name)
        try:
            return self.records.rename(replace(record, spec=spec, modified=ctx.now), name, resource)
        except AlreadyExists as error:
            raise EntityAlreadyExists(_TAKEN[record.kind].format(name)) from error
        except Conflict as error:
            raise _concurrent(record) from error

    def _refuse_taken(self, ctx: Context, kind: str, name: str) -> None:
        """Accepts a name that nobody of this kind bears, in capitals or not."""
        if self.records.list(Query(kind, ctx.account, name_folded=name, limit=1)):
            raise EntityAlreadyExists(_TAKEN[kind].format(name))

    def all(self, ctx: Context, *kinds: str) -> Iterator[Record]:
        """Every entity of these kinds, by name."""
        for kind in kinds:
            yield from self.records.all(Query(kind, ctx.account, order_by="name"))

    def members(self, ctx: Context, group_name: str) -> list[Record]:
        """The users in a group."""
        return [user for user in self.all(ctx, entities.USER) if group_name in user.spec.get(entities.GROUPS, ())]

    def profiles(self, ctx: Context, role_name: str) -> list[Record]:
        """The instance profiles that hold a role."""
        profiles = self.all(ctx, entities.INSTANCE_PROFILE)
        return [profile for profile in profiles if role_name in profile.spec.get("Roles", ())]

    def role_last_used(self, role: Record) -> Document:
        """When and where a session of the role last signed a request; empty when none ever did."""
        use = self.records.get(entities.LAST_USE, role.account, "", role.observed["RoleId"])
        return {"LastUsedDate": use.modified, "Region": use.spec["Region"]} if use else {}


def _concurrent(record: Record) -> ConcurrentModification:
    return ConcurrentModification(f"The {record.kind} {record.name} was modified by another request; try again.")


def new_tags(tags: Mapping[str, str], added: Sequence[Members]) -> dict[str, str]:
    """Tags with others added, which take the place of those with the same key, in capitals or not.

    Raises:
        InvalidInput: a key is given twice, or reserved for AWS.
        LimitExceeded: there are too many then.
    """
    folded = {tag["Key"].lower() for tag in added}
    if len(folded) != len(added):
        raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.startswith("aws:") for key in folded):
        raise InvalidInput("aws: prefixed tag key names are not allowed for external use.")
    together = {key: value for key, value in tags.items() if key.lower() not in folded} | tags_of(added)
    if len(together) > _MOST_TAGS:
        raise LimitExceeded(f"The number of tags has reached the maximum limit of {_MOST_TAGS}.")
    return together


def tags_of(tags: Iterable[Members]) -> dict[str, str]:
    """Tags as records keep them; permissions are checked before the form is, so a part may be missing."""
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as answers carry them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def own_user(ctx: Context, request: Members) -> str:
    """The user of the request: the caller where it names none."""
    return str(request.get("UserName") or ctx.principal.name)
