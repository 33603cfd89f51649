"""Find what a request wants to read, and which part of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from clary.auth.authorize import Ruling
from clary.errors import AccessDenied
from clary.services.s3.access import list_check
from clary.services.s3.errors import InvalidPartNumber, InvalidRange, MethodNotAllowed, NoSuchKey, NoSuchVersion

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members
    from clary.store.objects import Objects, Version
    from clary.store.records import Record

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Extent(NamedTuple):
    """The bytes from `start` up to `end`."""

    start: int
    end: int
    partial: bool
    parts: int = 0
    """How many parts the object has, when one of them was asked for."""


def readable(  # a version is named by all of these
    platform: Platform, ctx: Context, bucket: Record, key: str, version_id: str | None, *, content: bool = False
) -> Version:
    """The version of a key that a request may read.

    Raises:
        NoSuchKey: there is none.
        NoSuchVersion: there is none of this id.
        MethodNotAllowed: it is a delete marker that was asked for by its id.
        AccessDenied: there is none, and the caller may not know that.
    """
    version = platform.objects.index.get(bucket.name, key, version_id, content=content)
    if version is not None and not version.deleted:
        return version
    check = list_check(bucket, ctx)
    decision = platform.authorizer.decision(ctx, check)
    ctx.rulings.append(Ruling(check, decision))
    if not decision.allowed:
        raise AccessDenied("Access Denied")
    if version_id is None:
        raise NoSuchKey(key, version.version_id if version is not None else "")
    if version is None:
        raise NoSuchVersion(key, version_id)
    raise MethodNotAllowed(version_id, datetime.fromtimestamp(version.modified, UTC))


def extent(objects: Objects, version: Version, request: Members) -> Extent:
    """The part of a version that a request asks for by `Range` or `PartNumber`.

    Raises:
        InvalidRange: it begins behind the end.
        InvalidPartNumber: there are fewer parts.
    """
    number = request.get("PartNumber")
    if number is not None:
        return _part(objects, version, number)
    asked = request.get("Range")
    return byte_range(asked, version.size) if asked else Extent(0, version.size, partial=False)


def byte_range(asked: str, size: int) -> Extent:
    """The bytes that a Range header means; all of them when it is not of the one form that S3 knows.

    Raises:
        InvalidRange: none of them exist.
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None or not (match[1] or match[2]):
        return Extent(0, size, partial=False)
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return Extent(0, size, partial=False)
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise InvalidRange(asked, size)
    return Extent(start, end, partial=True)


def _part(objects: Objects, version: Version, number: int) -> Extent:
    parts = objects.uploads.parts(version.upload_id) if version.upload_id else []
    if not parts:
        if number != 1:
            raise InvalidPartNumber(number, 1)
        return Extent(0, version.size, partial=version.size > 0)
    if not 1 <= number <= len(parts):
        raise InvalidPartNumber(number, len(parts))
    start = sum(part.size for part in parts[: number - 1])
    return Extent(start, start + parts[number - 1].size, partial=True, parts=len(parts))
