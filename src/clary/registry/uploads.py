"""Uploads: in one request, in a stream, in pieces, or by naming another repository that has the blob."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clary.errors import ServiceError
from clary.http import Response
from clary.registry.protocol import Refusal
from clary.store.layers import DigestMismatch, UploadGone

if TYPE_CHECKING:
    from clary.registry.operations import Operations
    from clary.registry.protocol import Visit
    from clary.store.layers import Layers
    from clary.store.objects.version import Upload

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


class Uploads:
    """Takes blobs in."""

    def __init__(self, operations: Operations, layers: Layers) -> None:
        self._operations = operations
        self._layers = layers

    async def begin(self, visit: Visit) -> Response:
        """Opens an upload; ends it at once when the blob comes with the request or lies in another repository."""
        self._operations.allow(visit, "InitiateLayerUpload")
        if "mount" in visit.query and await self._mounted(visit):
            return _made(visit, visit.query["mount"])
        upload = self._layers.begin(visit.place, visit.visitor.principal.arn)
        if "digest" in visit.query:
            return await self._completed(visit, upload)
        return _under_way(visit, upload, 0)

    async def progress(self, visit: Visit) -> Response:
        """How far an upload is."""
        self._operations.allow(visit, "UploadLayerPart")
        upload = self._upload(visit)
        response = _under_way(visit, upload, self._layers.size(upload))
        response.status = 204
        return response

    async def append(self, visit: Visit) -> Response:
        """Adds bytes to an upload."""
        self._operations.allow(visit, "UploadLayerPart")
        upload = self._upload(visit)
        size = self._layers.size(upload)
        first = visit.http.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
        if first and first != str(size):
            raise Refusal(416, "BLOB_UPLOAD_INVALID", f"The upload has {size} bytes.", {"range": _range(size)})
        try:
            size = await self._layers.append(upload, visit.http.body)
        except UploadGone as error:
            raise _no_upload(visit) from error
        return _under_way(visit, upload, size)

    async def finish(self, visit: Visit) -> Response:
        """Makes a blob of an upload, with the bytes that come with the request."""
        self._operations.allow(visit, "CompleteLayerUpload")
        return await self._completed(visit, self._upload(visit))

    async def abort(self, visit: Visit) -> Response:
        """Gives an upload up."""
        self._operations.allow(visit, "UploadLayerPart")
        self._layers.abort(self._upload(visit))
        return Response(204)

    async def _mounted(self, visit: Visit) -> bool:
        """Whether the blob of another repository could be had, which the caller must be allowed to read."""
        digest = visit.query["mount"]
        if self._layers.find(visit.place, digest) is not None:
            return True
        source = visit.place._replace(name=visit.query.get("from", ""))
        if not source.name or not _SHA256.fullmatch(digest):
            return False
        try:
            self._operations.allow(visit, "GetDownloadUrlForLayer", source)
        except (ServiceError, Refusal):
            return False
        if await self._layers.mount(source, visit.place, digest) is None:
            return False
        await self._operations.sync()
        return True

    async def _completed(self, visit: Visit, upload: Upload) -> Response:
        digest = visit.query.get("digest", "")
        if not _SHA256.fullmatch(digest):
            self._layers.abort(upload)
            raise Refusal(400, "DIGEST_INVALID", f"{digest!r} is no SHA-256.")
        try:
            await self._layers.append(upload, visit.http.body)
            await self._layers.finish(visit.place, upload, digest)
        except DigestMismatch as error:
            raise Refusal(400, "DIGEST_INVALID", f"The uploaded bytes have the digest {error}.") from error
        except UploadGone as error:
            raise _no_upload(visit) from error
        await self._operations.sync()
        return _made(visit, digest)

    def _upload(self, visit: Visit) -> Upload:
        try:
            return self._layers.upload(visit.place, visit.named)
        except UploadGone as error:
            raise _no_upload(visit) from error


def _under_way(visit: Visit, upload: Upload, size: int) -> Response:
    where = f"{visit.base}/blobs/uploads/{upload.upload_id}"
    return Response(202, {"location": where, "docker-upload-uuid": upload.upload_id, "range": _range(size)})


def _made(visit: Visit, digest: str) -> Response:
    return Response(201, {"location": f"{visit.base}/blobs/{digest}", "docker-content-digest": digest})


def _range(size: int) -> str:
    return f"0-{max(0, size - 1)}"


def _no_upload(visit: Visit) -> Refusal:
    return Refusal(404, "BLOB_UPLOAD_UNKNOWN", f"There is no upload {visit.named} in {visit.place.name}.")
