"""GetObjectAttributes: what is known of an object, without its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.s3 import encryption, integrity
from clary.services.s3.bucket import bucket_of
from clary.services.s3.errors import InvalidArgument
from clary.services.s3.multipart import told_part
from clary.services.s3.objects import version_member
from clary.services.s3.reading import readable

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Version

ATTRIBUTES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
MAX_PARTS = 1000


class Attributes:
    """The attributes of an object that the caller names."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def get_object_attributes(self, ctx: Context, request: api.GetObjectAttributesRequest) -> Document:
        """Answers the attributes that were asked for."""
        wanted = set(request.get("ObjectAttributes") or ())
        if not wanted or not wanted <= ATTRIBUTES:
            raise InvalidArgument("Invalid attribute name specified.", "x-amz-object-attributes", ",".join(wanted))
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"), content=True)
        encryption.unlocked(version.meta, request)
        told: Document = {
            "ETag": version.etag.strip('"'),
            "Checksum": integrity.told(version.checksum) or None,
            "ObjectParts": self._parts(version, request) if "ObjectParts" in wanted else None,
            "StorageClass": version.meta.headers.get("StorageClass", "STANDARD"),
            "ObjectSize": version.size,
        }
        chosen: Document = {name: value for name, value in told.items() if name in wanted}
        return {"LastModified": version.modified, **version_member(bucket, version), **chosen}

    def _parts(self, version: Version, request: Members) -> Document | None:
        if version.upload_id is None:
            return None
        after, limit = request.get("PartNumberMarker") or 0, min(request.get("MaxParts") or MAX_PARTS, MAX_PARTS)
        parts = self._platform.objects.uploads.parts(version.upload_id)
        rest = [part for part in parts if part.number > after]
        told: Document = {
            "TotalPartsCount": len(parts),
            "PartNumberMarker": after,
            "MaxParts": limit,
            "IsTruncated": len(rest) > limit,
            "Parts": [_told(told_part(part)) for part in rest[:limit]],
        }
        if rest:
            told["NextPartNumberMarker"] = rest[:limit][-1].number
        return told


def _told(part: Document) -> Document:
    return {name: value for name, value in part.items() if name not in ("ETag", "LastModified")}
