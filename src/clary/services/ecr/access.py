"""Which permission an ECR operation needs, on which repository.

Source: "Actions, resources, and condition keys for Amazon Elastic Container Registry", service authorization reference.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clary.auth.needs import Keys, late, request_tags, values
from clary.services.service import Check
from clary.store.images import REPOSITORY, repository_arn
from clary.store.layers import Repository

from .family import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members


def access(platform: Platform, ctx: Context, request: Members) -> Sequence[Check]:
    """The action on the repositories that are named; on all of them where none is."""
    action = f"ecr:{ctx.operation}"
    if ctx.operation == "GetAuthorizationToken":
        return [Check(action)]
    given = values(request, "tagKeys")
    keys = {**request_tags(request.get("tags")), **({"aws:TagKeys": given} if given else {})}
    if "resourceArn" in request:
        return [_check(platform, action, str(request["resourceArn"]), keys)]
    names = values(request, "repositoryNames")
    places = [place_of(ctx, {**request, "repositoryName": name}) for name in names]
    if not places:
        place = place_of(ctx, request)
        places = [place if place.name else Repository(place.account, place.region, "*")]
    return [_check(platform, action, repository_arn(place), keys) for place in places]


def _check(platform: Platform, action: str, resource: str, keys: Keys) -> Check:
    record = platform.records.recall(REPOSITORY, resource)
    policy = record.observed.get("Policy", "") if record else ""
    lookup = late({}, {}, partial(platform.records.by_arn, resource))
    return Check(action, resource, keys, (policy,) if policy else (), late=lookup)
