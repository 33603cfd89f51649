"""The source of a copy, as the `x-amz-copy-source` header names it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from clary.services.s3.errors import InvalidArgument


class CopySource(NamedTuple):
    """An object, or one version of it."""

    bucket: str
    key: str
    version_id: str | None

    @classmethod
    def parse(cls, text: str) -> CopySource:
        """Reads `bucket/key`, URL-encoded, with `?versionId=` behind it for a version.

        Raises:
            InvalidArgument: it names no object.
        """
        path, _, version_id = text.partition("?versionId=")
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        if not bucket or not key:
            message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
            raise InvalidArgument(message, "x-amz-copy-source", text)
        return cls(bucket, key, version_id or None)
