"""Blobs: layers and configurations, by their digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.http import Response, Stored, begun
from clary.registry.protocol import Refusal, byte_range

if TYPE_CHECKING:
    from clary.http import Request
    from clary.registry.operations import Operations
    from clary.registry.protocol import Visit
    from clary.store.layers import Layers, Repository


class Blobs:
    """Tells blobs."""

    def __init__(self, operations: Operations, layers: Layers) -> None:
        self._operations = operations
        self._layers = layers

    async def get(self, visit: Visit) -> Response:
        """A blob, or what there is to know of it."""
        reading = visit.http.method == "GET"
        self._operations.allow(visit, "GetDownloadUrlForLayer" if reading else "BatchCheckLayerAvailability")
        return await self.sent(visit.http, visit.place, visit.named)

    async def sent(self, http: Request, place: Repository, digest: str) -> Response:
        """The same for a request that is allowed by something else.

        Raises:
            Refusal: the repository has no such blob.
        """
        layer = self._layers.find(place, digest)
        if layer is None:
            raise Refusal(404, "BLOB_UNKNOWN", f"There is no blob {digest} in the repository {place.name}.")
        start, end = byte_range(http.headers.get("range", ""), layer.size)
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(end - start),
            "docker-content-digest": digest,
            "etag": layer.etag,
            "accept-ranges": "bytes",
        }
        partial = (start, end) != (0, layer.size)
        if partial:
            headers["content-range"] = f"bytes {start}-{end - 1}/{layer.size}"
        body: Any = self._layers.read(layer, start, end) if http.method == "GET" else b""
        return Response(206 if partial else 200, headers, await begun(body) if isinstance(body, Stored) else body)
