"""How EC2 resources are kept as records, found again and tagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.store.records import Query, Record

from . import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

    from .kinds import Kind


class Resources:
    """The records of EC2 in the account and region of a call."""

    def __init__(self, platform: Platform) -> None:
        self.records = platform.records

    def create(self, ctx: Context, kind: Kind, name: str, spec: Document, **more: Any) -> Record:
        """Stores a new resource; `more` sets status, observed, tags and due."""
        arn = kind.arn(ctx, name)
        return self.records.create(
            Record(kind.name, ctx.account, ctx.region, name, arn, spec, ctx.now, ctx.now, **more)
        )

    def get(self, ctx: Context, kind: Kind, identifier: str) -> Record | None:
        """The resource, or None."""
        return self.records.get(kind.name, ctx.account, ctx.region, identifier)

    def find(self, ctx: Context, kind: Kind, identifier: str) -> Record:
        """The resource.

        Raises:
            ServiceError: the id has the wrong form or there is none, in the words of the kind.
        """
        kind.check(identifier)
        record = self.get(ctx, kind, identifier)
        if record is None:
            raise kind.no(identifier)
        return record

    def all(self, ctx: Context, kind: Kind) -> list[Record]:
        """Every resource of a kind, oldest first."""
        return self.records.all(Query(kind.name, ctx.account, ctx.region))

    def select(self, ctx: Context, kind: Kind, identifiers: Sequence[str] | None) -> list[Record]:
        """The resources of these ids, or all of the kind.

        Raises:
            ServiceError: ids are malformed or missing; all missing ones are told at once.
        """
        if not identifiers:
            return self.all(ctx, kind)
        for identifier in identifiers:
            kind.check(identifier)
        found = {name: self.get(ctx, kind, name) for name in identifiers}
        missing = [name for name, record in found.items() if record is None]
        if missing:
            raise kind.no(*missing)
        return [record for record in found.values() if record is not None]


class Family:
    """A group of operations that share the platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._resources = Resources(platform)


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_for(request: Members, kind: Kind) -> dict[str, str]:
    """The tags that a create request gives to the resources of a kind.

    Raises:
        InvalidParameterValue: a reserved key.
    """
    found = {
        tag.get("Key", ""): tag.get("Value", "")
        for specification in request.get("TagSpecifications") or ()
        if specification.get("ResourceType") == kind.name
        for tag in specification.get("Tags", ())
    }
    check_tags(found)
    return found


def check_tags(tags: dict[str, str]) -> None:
    """Refuses tags that AWS does not take.

    Raises:
        InvalidParameterValue: a reserved or overlong key or value.
        TagLimitExceeded: too many.
    """
    for key, value in tags.items():
        if key.startswith("aws:"):
            raise errors.InvalidParameterValue(
                f"Tag keys starting with 'aws:' are reserved for internal use. Key: {key}"
            )
        if not key or len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE:
            raise errors.InvalidParameterValue(f"Tag key or value is too long or empty: {key}")
    if len(tags) > _MOST_TAGS:
        raise errors.TagLimitExceeded("The maximum number of Tags for a resource is 50")


_LONGEST_KEY = 127
_LONGEST_VALUE = 255
_MOST_TAGS = 50
