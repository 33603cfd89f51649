"""How entities look in answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.services.iam.directory import tag_list
from clary.services.iam.documents import encoded

if TYPE_CHECKING:
    from clary.services.service import Document
    from clary.store.records import Record


def user(record: Record) -> Document:
    """A User, as lists carry it."""
    return _entity(record, "UserName", "UserId")


def user_detail(record: Record) -> Document:
    """A User with all that GetUser tells."""
    return {**user(record), **_boundary(record), **_tags(record)}


def group(record: Record) -> Document:
    """A Group."""
    return _entity(record, "GroupName", "GroupId")


def role(record: Record) -> Document:
    """A Role, as lists carry it."""
    shape = {
        **_entity(record, "RoleName", "RoleId"),
        "AssumeRolePolicyDocument": encoded(record.spec["AssumeRolePolicyDocument"]),
        "MaxSessionDuration": record.spec.get("MaxSessionDuration", 3600),
    }
    return {**shape, "Description": record.spec["Description"]} if record.spec.get("Description") else shape


def role_detail(record: Record) -> Document:
    """A Role with all that GetRole tells of the record itself."""
    return {**role(record), **_boundary(record), **_tags(record)}


def new_role(record: Record) -> Document:
    """A Role as the answer to its creation has it: defaults are not told."""
    silent = {"MaxSessionDuration"} - record.spec.keys()
    return {name: value for name, value in role_detail(record).items() if name not in silent}


def instance_profile(record: Record, roles: list[Record]) -> Document:
    """An InstanceProfile with its roles."""
    shape = _entity(record, "InstanceProfileName", "InstanceProfileId")
    return {**shape, "Roles": [role(each) for each in roles], **_tags(record)}


def attached(policy_arn: str) -> Document:
    """An AttachedPolicy."""
    return {"PolicyName": policy_arn.rpartition("/")[2], "PolicyArn": policy_arn}


def _entity(record: Record, name: str, identifier: str) -> Document:
    return {
        "Path": record.spec["Path"],
        name: record.name,
        identifier: record.observed[identifier],
        "Arn": record.arn,
        "CreateDate": record.created,
    }


def _boundary(record: Record) -> Document:
    policy_arn = record.spec.get(entities.BOUNDARY)
    if not policy_arn:
        return {}
    return {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": policy_arn}}


def _tags(record: Record) -> Document:
    return {"Tags": tag_list(record.tags)} if record.tags else {}
