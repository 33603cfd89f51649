"""Repositories."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clary.errors import NotSupported
from clary.services.service import in_thread, recorded
from clary.store.images import REPOSITORY, repository_arn
from clary.store.records import AlreadyExists, Query, Record

from .errors import RepositoryAlreadyExistsException, RepositoryNotEmptyException
from .family import Family, head, place_of
from .pages import page
from .tags import tags_of

if TYPE_CHECKING:
    from clary.api import ecr as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.layers import Repository

MUTABLE = "MUTABLE"
_UNSUPPORTED = ("IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")


class Repositories(Family):
    """Making, describing and removing repositories."""

    def create_repository(self, ctx: Context, request: api.CreateRepositoryRequest) -> Document:
        """A new, empty repository."""
        _refuse_unsupported(request.get("imageTagMutability", MUTABLE))
        encryption = request.get("encryptionConfiguration", {"encryptionType": "AES256"})
        if encryption["encryptionType"] != "AES256":
            raise NotSupported(f"Clary does not support the encryption type {encryption['encryptionType']} of ECR yet.")
        place = place_of(ctx, request)
        if place.account != ctx.account:
            raise NotSupported("Clary does not support repositories in the registry of another account (registryId).")
        spec = {
            "Mutability": request.get("imageTagMutability", MUTABLE),
            "Scanning": {"scanOnPush": False, **request.get("imageScanningConfiguration", {})},
            "Encryption": encryption,
        }
        name, arn, tags = place.name, repository_arn(place), tags_of(request.get("tags", ()))
        record = Record(REPOSITORY, ctx.account, ctx.region, name, arn, spec, ctx.now, ctx.now, tags=tags)
        try:
            self._records.create(record)
        except AlreadyExists as error:
            raise RepositoryAlreadyExistsException(
                f"The repository with name '{name}' already exists in the registry with id '{ctx.account}'"
            ) from error
        return {"repository": _shape(ctx, record)}

    @in_thread
    def describe_repositories(self, ctx: Context, request: api.DescribeRepositoriesRequest) -> Document:
        """The repositories of these names, or all of them."""
        names = request.get("repositoryNames")
        if names:
            found = [self._record(place_of(ctx, {**request, "repositoryName": name})) for name in names]
        else:
            account = request.get("registryId", ctx.account)
            found = self._records.all(Query(REPOSITORY, account, ctx.region, order_by="name"))
        records, token = page(found, request)
        return {"repositories": [_shape(ctx, record) for record in records], **token}

    @in_thread
    def delete_repository(self, ctx: Context, request: api.DeleteRepositoryRequest) -> Document:
        """Removes a repository; with its images if they may be lost."""
        place = place_of(ctx, request)
        record = self._record(place)
        images = self._images.images(place)
        if images and not request.get("force"):
            raise RepositoryNotEmptyException(
                f"The repository with name '{place.name}' in registry with id '{place.account}' cannot be deleted "
                "because it still contains images"
            )
        self._empty(place, [image.name.removeprefix(place.key("")) for image in images])
        self._records.delete(record)
        return {"repository": _shape(ctx, record)}

    def put_image_tag_mutability(self, ctx: Context, request: api.PutImageTagMutabilityRequest) -> Document:
        """Whether tags may be moved to other images."""
        wanted = request["imageTagMutability"]
        _refuse_unsupported(wanted)
        place = place_of(ctx, request)
        record = self._record(place)
        self._records.edit(record, lambda now: replace(now, spec={**now.spec, "Mutability": wanted}))
        return {**head(place), "imageTagMutability": wanted}

    @recorded
    def put_image_scanning_configuration(
        self, ctx: Context, request: api.PutImageScanningConfigurationRequest
    ) -> Document:
        """Keeps whether images are to be scanned; nothing scans them."""
        wanted = {"scanOnPush": False, **request["imageScanningConfiguration"]}
        place = place_of(ctx, request)
        self._records.edit(self._record(place), lambda now: replace(now, spec={**now.spec, "Scanning": wanted}))
        return {**head(place), "imageScanningConfiguration": wanted}

    def _empty(self, place: Repository, digests: list[str]) -> None:
        for digest in digests:
            self._images.delete(place, digest)
        self._layers.remove_all(place)


def uri(ctx: Context, name: str) -> str:
    """What container tools call a repository: the address of this platform, as AWS's host names lead to AWS."""
    return f"{urlsplit(ctx.endpoint).netloc}/{name}"


def _refuse_unsupported(mutability: str) -> None:
    if mutability in _UNSUPPORTED:
        raise NotSupported(f"Clary does not support the tag mutability {mutability} of ECR yet.")


def _shape(ctx: Context, record: Record) -> Document:
    return {
        "repositoryArn": record.arn,
        "registryId": record.account,
        "repositoryName": record.name,
        "repositoryUri": uri(ctx, record.name),
        "createdAt": record.created,
        "imageTagMutability": record.spec["Mutability"],
        "imageScanningConfiguration": record.spec["Scanning"],
        "encryptionConfiguration": record.spec["Encryption"],
    }
