"""Tags of SageMaker resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.errors import ValidationException

from .kinds import Family

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.store.records import Record

MOST_TAGS = 50


class Tags(Family):
    """Adding, removing and listing tags by ARN."""

    def add_tags(self, ctx: Context, request: api.AddTagsInput) -> api.AddTagsOutput:
        """Adds tags to a resource or gives them new values."""
        record = self._find(ctx, request["ResourceArn"])
        added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(record.tags | added) > MOST_TAGS:
            raise ValidationException(f"The number of tags exceeds the maximum of {MOST_TAGS}.")
        changed = self._platform.records.edit(record, lambda now: replace(now, tags=now.tags | added))
        return {"Tags": _list(changed.tags)}

    def delete_tags(self, ctx: Context, request: api.DeleteTagsInput) -> api.DeleteTagsOutput:
        """Removes tags from a resource."""
        record = self._find(ctx, request["ResourceArn"])
        gone = set(request["TagKeys"])
        self._platform.records.edit(
            record, lambda now: replace(now, tags={key: value for key, value in now.tags.items() if key not in gone})
        )
        return {}

    def list_tags(self, ctx: Context, request: api.ListTagsInput) -> api.ListTagsOutput:
        """The tags of a resource."""
        return {"Tags": _list(self._find(ctx, request["ResourceArn"]).tags)}

    def _find(self, ctx: Context, arn: str) -> Record:
        record = self._platform.records.by_arn(arn)
        if record is None or record.account != ctx.account:
            raise ValidationException(f"Could not find resource with ARN: {arn}")
        return record


def _list(tags: dict[str, str]) -> list[api.Tag]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
