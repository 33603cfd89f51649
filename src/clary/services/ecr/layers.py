"""Layers by way of the API; container tools bring them to the registry's own protocol instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import registry_access
from clary.http import BytesBody
from clary.services.service import in_thread
from clary.store.layers import DigestMismatch, UploadGone

from .errors import (
    EmptyUploadException,
    InvalidLayerException,
    InvalidLayerPartException,
    InvalidParameterException,
    LayerAlreadyExistsException,
    LayersNotFoundException,
    UploadNotFoundException,
)
from .family import Family, head

if TYPE_CHECKING:
    from clary.api import ecr as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.layers import Repository
    from clary.store.objects.version import Upload

PART_BYTES = 10 << 20
_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class LayerOperations(Family):
    """Uploading layers and looking for them."""

    @in_thread
    def batch_check_layer_availability(self, ctx: Context, request: api.BatchCheckLayerAvailabilityRequest) -> Document:
        """Which of some layers a repository has."""
        place = self._place(ctx, request)
        layers = [self._availability(place, digest) for digest in request["layerDigests"]]
        return {"layers": layers, "failures": []}

    def get_download_url_for_layer(self, ctx: Context, request: api.GetDownloadUrlForLayerRequest) -> Document:
        """A link to a layer that needs no password for an hour."""
        place = self._place(ctx, request)
        digest = request["layerDigest"]
        if self._layers.find(place, digest) is None:
            raise LayersNotFoundException(
                f"Layers with digests '[{digest}]' not found in the repository with name '{place.name}' in the "
                f"registry with id '{place.account}'"
            )
        link = registry_access.link(self._keyring, place, digest, ctx.now)
        return {"downloadUrl": f"{ctx.endpoint}{link}", "layerDigest": digest}

    def initiate_layer_upload(self, ctx: Context, request: api.InitiateLayerUploadRequest) -> Document:
        """A new upload."""
        place = self._place(ctx, request)
        return {"uploadId": self._layers.begin(place, ctx.principal.arn).upload_id, "partSize": PART_BYTES}

    async def upload_layer_part(self, ctx: Context, request: api.UploadLayerPartRequest) -> Document:
        """Adds the bytes that follow those that are there."""
        place = self._place(ctx, request)
        upload = self._upload(place, request["uploadId"])
        blob = bytes(request["layerPartBlob"])
        first, last = request["partFirstByte"], request["partLastByte"]
        if first != self._layers.size(upload) or last - first + 1 != len(blob):
            raise InvalidLayerPartException(
                f"Layer part with first byte {first} and last byte {last} does not go on where the upload "
                f"'{upload.upload_id}' ended.",
                **head(place), uploadId=upload.upload_id, lastValidByteReceived=self._layers.size(upload) - 1,
            )  # fmt: skip
        size = await self._layers.append(upload, BytesBody(blob))
        return {**head(place), "uploadId": upload.upload_id, "lastByteReceived": size - 1}

    async def complete_layer_upload(self, ctx: Context, request: api.CompleteLayerUploadRequest) -> Document:
        """Makes a layer of an upload."""
        place = self._place(ctx, request)
        upload = self._upload(place, request["uploadId"])
        (digest,) = request["layerDigests"][:1] or ("",)
        if not digest.startswith("sha256:"):
            raise InvalidParameterException(f"Clary knows layers by SHA-256 only, not by '{digest}'.")
        if not self._layers.size(upload):
            raise EmptyUploadException(f"The upload '{upload.upload_id}' has no layer parts.")
        if self._layers.find(place, digest) is not None:
            self._layers.abort(upload)
            raise LayerAlreadyExistsException(
                f"Layer with digest '{digest}' already exists in the repository with name '{place.name}' in the "
                f"registry with id '{place.account}'"
            )
        try:
            await self._layers.finish(place, upload, digest)
        except DigestMismatch as error:
            raise InvalidLayerException(f"Layer digest '{digest}' does not match the uploaded one '{error}'") from error
        return {**head(place), "uploadId": upload.upload_id, "layerDigest": digest}

    def _upload(self, place: Repository, upload_id: str) -> Upload:
        try:
            return self._layers.upload(place, upload_id)
        except UploadGone as error:
            raise UploadNotFoundException(
                f"The upload with ID '{upload_id}' does not exist in the repository with name '{place.name}' in the "
                f"registry with id '{place.account}'"
            ) from error

    def _availability(self, place: Repository, digest: str) -> Document:
        layer = self._layers.find(place, digest)
        if layer is None:
            return {"layerDigest": digest, "layerAvailability": "UNAVAILABLE"}
        return {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": layer.size, "mediaType": _TYPE}
