"""Manifests, and the lists of tags and repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.errors import ServiceError
from clary.http import Response, read
from clary.registry.protocol import Refusal, listed
from clary.registry_access import PREFIX
from clary.store.images import MANIFESTS, digest_of

if TYPE_CHECKING:
    from clary.registry.operations import Operations
    from clary.registry.protocol import Visit

MANIFEST_BYTES = 4 << 20
PAGE = 1000


class Manifests:
    """Takes manifests in and tells them."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def get(self, visit: Visit) -> Response:
        """The manifest of a tag or digest."""
        answer = await self._operations.call(visit, "BatchGetImage", imageIds=[_identifier(visit.named)])
        if not answer["images"]:
            raise _unknown()
        image = answer["images"][0]
        digest = image["imageId"]["imageDigest"]
        headers = {
            "content-type": image["imageManifestMediaType"],
            "docker-content-digest": digest,
            "etag": f'"{digest}"',
        }
        return Response(200, headers, image["imageManifest"].encode())

    async def put(self, visit: Visit) -> Response:
        """Keeps a manifest under a tag, or under its digest alone."""
        try:
            text = (await read(visit.http.body, MANIFEST_BYTES)).decode()
        except UnicodeDecodeError as error:
            raise Refusal(400, "MANIFEST_INVALID", f"The manifest is no text: {error}") from error
        kind = visit.http.headers.get("content-type", "")
        known = {"imageManifestMediaType": kind} if kind in MANIFESTS else {}
        try:
            await self._operations.call(visit, "PutImage", imageManifest=text, **known, **_identifier(visit.named))
        except ServiceError as error:
            # Tools push again what is there and expect it to be well.
            if error.code != "ImageAlreadyExistsException":
                raise
        await self._operations.sync()
        digest = digest_of(text)
        return Response(201, {"location": f"{visit.base}/manifests/{digest}", "docker-content-digest": digest})

    async def delete(self, visit: Visit) -> Response:
        """Takes a tag away, or an image with all its tags."""
        answer = await self._operations.call(visit, "BatchDeleteImage", imageIds=[_identifier(visit.named)])
        if answer["failures"]:
            raise _unknown()
        await self._operations.sync()
        return Response(202)

    async def tags(self, visit: Visit) -> Response:
        """The tags of a repository."""
        images = await self._every(visit, "ListImages", "imageIds", filter={"tagStatus": "TAGGED"})
        tags = sorted(image["imageTag"] for image in images)
        return listed(visit, f"{visit.base}/tags/list", "tags", tags, name=visit.place.name)

    async def catalog(self, visit: Visit) -> Response:
        """The repositories of the registry."""
        repositories = await self._every(visit, "DescribeRepositories", "repositories")
        names = [repository["repositoryName"] for repository in repositories]
        return listed(visit, f"{PREFIX}_catalog", "repositories", names)

    async def _every(self, visit: Visit, operation: str, member: str, **request: object) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self._operations.call(visit, operation, maxResults=PAGE, **request, **token)
            found += answer[member]
            if "nextToken" not in answer:
                return found
            token = {"nextToken": answer["nextToken"]}


def _identifier(reference: str) -> dict[str, str]:
    return {"imageDigest" if ":" in reference else "imageTag": reference}


def _unknown() -> Refusal:
    return Refusal(404, "MANIFEST_UNKNOWN", "Requested image not found")
