"""Images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.service import in_thread
from clary.store.images import InvalidManifest, Manifest, digest_of, parse

from .errors import (
    ImageAlreadyExistsException,
    ImageDigestDoesNotMatchException,
    ImageNotFoundException,
    ImageTagAlreadyExistsException,
    InvalidParameterException,
    LayersNotFoundException,
    ReferencedImagesNotFoundException,
)
from .family import Family, head
from .pages import page

if TYPE_CHECKING:
    from clary.api import ecr as api
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.layers import Repository
    from clary.store.records import Record


class ImageOperations(Family):
    """Putting, listing, getting and removing images."""

    @in_thread
    def put_image(self, ctx: Context, request: api.PutImageRequest) -> Document:
        """Keeps a manifest whose layers are there, and lets a tag lead to it."""
        place = self._place(ctx, request)
        manifest = self._manifest(request)
        self._require_parts(place, manifest)
        tag = request.get("imageTag")
        told = f"in the repository with name '{place.name}' in registry with id '{place.account}'"
        if tag and self._images.tagged(place, tag) == manifest.digest:
            raise ImageAlreadyExistsException(
                f"Image with digest '{manifest.digest}' and tag '{tag}' already exists {told}"
            )
        is_new = self._images.put(place, manifest, ctx.now)
        if not tag and not is_new:
            raise ImageAlreadyExistsException(f"Image with digest '{manifest.digest}' already exists {told}")
        if tag:
            self._point(ctx, place, tag, manifest.digest)
        return {"image": _image(place, manifest.digest, tag, manifest.text, manifest.media_type)}

    @in_thread
    def list_images(self, ctx: Context, request: api.ListImagesRequest) -> Document:
        """The digests and tags of all images."""
        place = self._place(ctx, request)
        wanted = request.get("filter", {}).get("tagStatus", "ANY")
        tags = self._images.tags(place)
        found = []
        for image in self._images.images(place):
            digest = _digest(place, image)
            if digest in tags and wanted != "UNTAGGED":
                found += [{"imageDigest": digest, "imageTag": tag} for tag in tags[digest]]
            elif digest not in tags and wanted != "TAGGED":
                found.append({"imageDigest": digest})
        identifiers, token = page(found, request)
        return {"imageIds": identifiers, **token}

    @in_thread
    def describe_images(self, ctx: Context, request: api.DescribeImagesRequest) -> Document:
        """What there is to know of some images, or of all."""
        place = self._place(ctx, request)
        tags = self._images.tags(place)
        if request.get("imageIds"):
            found = [self._existing(place, identifier) for identifier in request["imageIds"]]
        else:
            wanted = request.get("filter", {}).get("tagStatus", "ANY")
            found = [
                image
                for image in self._images.images(place)
                if wanted == "ANY" or (wanted == "TAGGED") == (_digest(place, image) in tags)
            ]
        records, token = page(found, request)
        return {"imageDetails": [_detail(place, record, tags) for record in records], **token}

    @in_thread
    def batch_get_image(self, ctx: Context, request: api.BatchGetImageRequest) -> Document:
        """The manifests of some images."""
        place = self._place(ctx, request)
        images, failures = [], []
        for identifier in request["imageIds"]:
            record = self._find(place, identifier)
            if record is None:
                failures.append(_failure(identifier))
            else:
                manifest, kind = record.spec["Manifest"], record.spec["MediaType"]
                images.append(_image(place, _digest(place, record), identifier.get("imageTag"), manifest, kind))
        return {"images": images, "failures": failures}

    @in_thread
    def batch_delete_image(self, ctx: Context, request: api.BatchDeleteImageRequest) -> Document:
        """Takes tags away, and images with their last tag or by their digest; the layers go a day later."""
        place = self._place(ctx, request)
        gone: list[dict[str, str]] = []
        failures: list[Document] = []
        for identifier in request["imageIds"]:
            record = self._find(place, identifier)
            if record is None:
                failures.append(_failure(identifier))
                continue
            lists = self._lists_with(place, _digest(place, record))
            if lists and "imageTag" not in identifier:
                reason = f"Requested image referenced by manifest list: [{', '.join(lists)}]"
                failures.append(
                    {"imageId": identifier, "failureCode": "ImageReferencedByManifestList", "failureReason": reason}
                )
            else:
                gone += self._delete(place, _digest(place, record), identifier, keep=bool(lists))
        return {"imageIds": gone, "failures": failures}

    def _lists_with(self, place: Repository, digest: str) -> list[str]:
        """The lists of images that name an image, which must go before it does."""
        found = [parse(image.spec["Manifest"], image.spec["MediaType"]) for image in self._images.images(place)]
        return [each.digest for each in found if any(part.digest == digest for part in each.images)]

    def _manifest(self, request: Members) -> Manifest:
        text = str(request["imageManifest"])
        expected = request.get("imageDigest", digest_of(text))
        if expected != digest_of(text):
            raise ImageDigestDoesNotMatchException(
                f"Image digest does not match: the manifest has '{digest_of(text)}', not '{expected}'"
            )
        try:
            return parse(text, str(request.get("imageManifestMediaType", "")))
        except InvalidManifest as error:
            raise InvalidParameterException(
                f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax' ({error})"
            ) from error

    def _require_parts(self, place: Repository, manifest: Manifest) -> None:
        told = (
            f"required for pushing image into repository with name '{place.name}' in the registry with id "
            f"'{place.account}' do not exist"
        )
        absent = [blob.digest for blob in manifest.blobs if self._layers.find(place, blob.digest) is None]
        if absent:
            raise LayersNotFoundException(f"Layers with digests '[{', '.join(absent)}]' {told}")
        absent = [image.digest for image in manifest.images if self._images.image(place, image.digest) is None]
        if absent:
            raise ReferencedImagesNotFoundException(f"Images with digests '[{', '.join(absent)}]' {told}")

    def _point(self, ctx: Context, place: Repository, tag: str, digest: str) -> None:
        movable = self._record(place).spec["Mutability"] == "MUTABLE"
        if not self._images.point(place, tag, digest, ctx.now, movable=movable):
            raise ImageTagAlreadyExistsException(
                f"The image tag '{tag}' already exists in the '{place.name}' repository and cannot be overwritten "
                "because the tag is immutable."
            )

    def _find(self, place: Repository, identifier: Members) -> Record | None:
        """The image that a digest, a tag, or both together name."""
        digest, tag = identifier.get("imageDigest"), identifier.get("imageTag")
        leads_to = self._images.tagged(place, tag) if tag else digest
        if leads_to is None or (digest and digest != leads_to):
            return None
        return self._images.image(place, leads_to)

    def _existing(self, place: Repository, identifier: Members) -> Record:
        record = self._find(place, identifier)
        if record is None:
            digest, tag = identifier.get("imageDigest", "null"), identifier.get("imageTag", "null")
            raise ImageNotFoundException(
                f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the "
                f"repository with name '{place.name}' in the registry with id '{place.account}'"
            )
        return record

    def _delete(self, place: Repository, digest: str, identifier: Members, *, keep: bool) -> list[dict[str, str]]:
        """Takes a tag away, and the image unless it has another one or is to be kept; tells what is gone."""
        tags = self._images.tags(place).get(digest, [])
        tag = identifier.get("imageTag")
        if tag:
            self._images.untag(place, tag)
            if keep or tags != [tag]:
                return [{"imageDigest": digest, "imageTag": tag}]
        self._images.delete(place, digest)
        return [{"imageDigest": digest, "imageTag": each} for each in tags] or [{"imageDigest": digest}]


def _digest(place: Repository, image: Record) -> str:
    return image.name.removeprefix(place.key(""))


def _image(place: Repository, digest: str, tag: str | None, manifest: str, media_type: str) -> Document:
    identifier = {"imageDigest": digest, **({"imageTag": tag} if tag else {})}
    return {
        **head(place), "imageId": identifier, "imageManifest": manifest, "imageManifestMediaType": media_type,
    }  # fmt: skip


def _detail(place: Repository, image: Record, tags: Members) -> Document:
    digest = _digest(place, image)
    manifest = parse(image.spec["Manifest"], image.spec["MediaType"])
    detail: Document = {
        **head(place),
        "imageDigest": digest,
        "imageSizeInBytes": image.spec["Size"],
        "imagePushedAt": image.created,
        "imageManifestMediaType": image.spec["MediaType"],
    }
    if manifest.config is not None:
        detail["artifactMediaType"] = manifest.config.media_type
    return {**detail, "imageTags": tags[digest]} if digest in tags else detail


def _failure(identifier: Members) -> Document:
    asked = {name: identifier[name] for name in ("imageDigest", "imageTag") if name in identifier}
    if not asked:
        return {
            "imageId": {}, "failureCode": "MissingDigestAndTag",
            "failureReason": "Invalid request parameters: both tag and digest cannot be null",
        }  # fmt: skip
    return {"imageId": asked, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}
