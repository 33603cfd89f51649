"""What the operations of ECR have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.store.images import Images
from clary.store.layers import Layers, Repository

from .errors import RepositoryNotFoundException

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members
    from clary.store.records import Record


class Family:
    """Operations on repositories."""

    def __init__(self, platform: Platform) -> None:
        self._records = platform.records
        self._images = Images(platform.records)
        self._layers = Layers(platform.objects, platform.clock)
        self._keyring = platform.keyring
        self._credentials = platform.credentials

    def _place(self, ctx: Context, request: Members) -> Repository:
        """The repository that a request names, which is there.

        Raises:
            RepositoryNotFoundException: it is not, or it is in the registry of somebody else.
        """
        place = place_of(ctx, request)
        self._record(place)
        return place

    def _record(self, place: Repository) -> Record:
        record = self._images.repository(place)
        if record is None:
            raise not_found(place)
        return record


def place_of(ctx: Context, request: Members) -> Repository:
    """The repository that a request names."""
    return Repository(str(request.get("registryId", ctx.account)), ctx.region, str(request.get("repositoryName", "")))


def not_found(place: Repository) -> RepositoryNotFoundException:
    """The refusal for a repository that is not there."""
    return RepositoryNotFoundException(
        f"The repository with name '{place.name}' does not exist in the registry with id '{place.account}'"
    )


def head(place: Repository) -> dict[str, str]:
    """How most answers begin."""
    return {"registryId": place.account, "repositoryName": place.name}
