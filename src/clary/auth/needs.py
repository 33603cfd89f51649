"""What the services' tables of permissions have in common: values in requests, tags, and roles that are passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clary.auth.check import Check

if TYPE_CHECKING:
    from clary.auth.patterns import Lookup, Values
    from clary.store.records import Record, Records

Keys = dict[str, str | Sequence[str]]

_TAGS = "resourcetag/"


def values(request: Any, place: str) -> list[str]:
    """What a request says at a place such as `ProductionVariants.InstanceType`, in each element of lists on the way."""
    found = [request]
    for member in place.split("."):
        elements = [each for value in found for each in (value if isinstance(value, list) else [value])]
        found = [each[member] for each in elements if isinstance(each, Mapping) and each.get(member) is not None]
    texts = [each for value in found for each in (value if isinstance(value, list) else [value])]
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in texts]


def request_tags(tags: object) -> Keys:
    """The condition keys of the tags that a request gives; its form has not been checked yet."""
    listed = [tag for tag in tags if isinstance(tag, Mapping)] if isinstance(tags, list) else []
    given = {str(tag["Key"]): str(tag.get("Value") or "") for tag in listed if tag.get("Key")}
    keys: Keys = {f"aws:RequestTag/{key}": value for key, value in given.items()}
    return {"aws:TagKeys": list(given), **keys} if given else keys


def late(table: Mapping[str, Sequence[str]], request: Any, record: Callable[[], Record | None]) -> Lookup:
    """Tells the keys of a table, in lower case, by their places in a request, and the tags of the resource."""

    def lookup(key: str) -> Values | None:
        if key in table:
            return tuple(value for place in table[key] for value in values(request, place)) or None
        _, _, name = key.partition(":")
        if not name.startswith(_TAGS):
            return None
        resource = record()
        tags = resource.tags if resource is not None else {}
        return next(((value,) for tag, value in tags.items() if tag.lower() == name.removeprefix(_TAGS)), None)

    return lookup


def pass_role(records: Records, role_arn: str, service: str, resource: str = "*") -> Check:
    """The permission to hand a role to a service, for one of its resources."""
    keys = {"iam:PassedToService": service}
    if resource != "*":
        keys["iam:AssociatedResourceArn"] = resource
    return Check("iam:PassRole", role_arn, keys, late=late({}, {}, lambda: records.by_arn(role_arn)))
