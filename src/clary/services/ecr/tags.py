"""Tags of repositories."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.store.images import REPOSITORY

from .errors import RepositoryNotFoundException, TooManyTagsException
from .family import Family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clary.api import ecr as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record

MOST_TAGS = 50


class Tags(Family):
    """Words that users put on repositories."""

    def tag_resource(self, ctx: Context, request: api.TagResourceRequest) -> None:
        """Adds tags or gives them new values."""
        record = self._tagged(ctx, request["resourceArn"])
        tags = {**record.tags, **tags_of(request["tags"])}
        if len(tags) > MOST_TAGS:
            raise TooManyTagsException(f"Too many tags: a repository may have {MOST_TAGS}.")
        self._records.edit(record, lambda now: replace(now, tags=tags))

    def untag_resource(self, ctx: Context, request: api.UntagResourceRequest) -> None:
        """Takes tags away."""
        record = self._tagged(ctx, request["resourceArn"])
        gone = set(request["tagKeys"])
        self._records.edit(
            record, lambda now: replace(now, tags={key: value for key, value in now.tags.items() if key not in gone})
        )

    def list_tags_for_resource(self, ctx: Context, request: api.ListTagsForResourceRequest) -> Document:
        """The tags of a repository."""
        record = self._tagged(ctx, request["resourceArn"])
        return {"tags": [{"Key": key, "Value": value} for key, value in record.tags.items()]}

    def _tagged(self, ctx: Context, arn: str) -> Record:
        record = self._records.by_arn(arn)
        if record is None or record.kind != REPOSITORY or record.account != ctx.account:
            name = arn.partition(":repository/")[2]
            raise RepositoryNotFoundException(
                f"The repository with name '{name}' does not exist in the registry with id '{ctx.account}'"
            )
        return record


def tags_of(listed: Iterable[api.Tag]) -> dict[str, str]:
    """Tags as records keep them."""
    return {tag["Key"]: tag["Value"] for tag in listed}
