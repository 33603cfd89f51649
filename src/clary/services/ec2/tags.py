"""Tags of any EC2 resource."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.services.service import in_thread

from . import filters, kinds
from .resources import Family, check_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record


class Tags(Family):
    """Words that users put on resources."""

    def create_tags(self, ctx: Context, request: api.CreateTagsRequest) -> None:
        """Adds tags to resources or writes them over."""
        new = {tag.get("Key", ""): tag.get("Value", "") for tag in request["Tags"]}
        check_tags(new)
        records = self._tagged(ctx, request)
        for record in records:
            check_tags({**record.tags, **new})
        for record in records:
            self._resources.records.edit(record, lambda now: replace(now, tags={**now.tags, **new}))

    def delete_tags(self, ctx: Context, request: api.DeleteTagsRequest) -> None:
        """Takes tags away: all of them, those of a key, or those of a key with a given value."""
        wanted = request.get("Tags") or []

        def kept(tags: dict[str, str]) -> dict[str, str]:
            gone = {tag.get("Key") for tag in wanted if tag.get("Value") in (None, tags.get(tag.get("Key", "")))}
            return {key: value for key, value in tags.items() if wanted and key not in gone}

        for record in self._tagged(ctx, request):
            self._resources.records.edit(record, lambda now: replace(now, tags=kept(now.tags)))

    @in_thread
    def describe_tags(self, ctx: Context, request: api.DescribeTagsRequest) -> Document:
        """The tags of all resources."""
        return filters.describe("Tags", self._every_tag(ctx), request, _FILTERS)

    def _tagged(self, ctx: Context, request: Members) -> list[Record]:
        return [self._one(ctx, identifier) for identifier in request["Resources"]]

    def _one(self, ctx: Context, identifier: str) -> Record:
        kind = kinds.kind_of(identifier)
        if kind is not kinds.KEY_PAIR:
            return self._resources.find(ctx, kind, identifier)
        for record in self._resources.all(ctx, kind):
            if record.observed["KeyPairId"] == identifier:
                return record
        raise kind.no(identifier)

    def _every_tag(self, ctx: Context) -> Iterator[Document]:
        for kind in kinds.ALL:
            for record in self._resources.all(ctx, kind):
                identifier = record.observed.get("KeyPairId", record.name)
                for key, value in record.tags.items():
                    yield {"ResourceType": kind.name, "ResourceId": identifier, "Key": key, "Value": value}


_FILTERS = filters.table("ResourceType ResourceId Key Value")
