"""Conditional requests: whether an object is as the caller supposes.

Source: RFC 9110, section 13.2.2, and "Conditional requests" in the Amazon S3 user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.services.s3.errors import InvalidRequest, NoSuchKey, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.services.service import Members
    from clary.store.objects import Version

_CONDITIONS = ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")


def refuse_unmet(request: Members, version: Version, prefix: str = "") -> bool:
    """Checks the conditions of a read; True: the caller's copy is still good (304).

    Args:
        request: `IfMatch`, `IfNoneMatch`, `IfModifiedSince`, `IfUnmodifiedSince`, behind `prefix`.
        version: what would be read.
        prefix: `CopySource` for the source of a copy.

    Raises:
        PreconditionFailed: the object is not as supposed.
    """
    names = [f"{prefix}{name}" for name in _CONDITIONS] if prefix else _CONDITIONS
    match, none_match, since, unmodified = map(request.get, names)
    seconds = int(version.modified)
    if match is not None:
        if not _lists(match, version.etag):
            raise PreconditionFailed("If-Match")
    elif unmodified is not None and seconds > unmodified.timestamp():
        raise PreconditionFailed("If-Unmodified-Since")
    if none_match is not None:
        return _lists(none_match, version.etag)
    return since is not None and seconds <= since.timestamp()


def write_condition(request: Members) -> Callable[[Version | None], None] | None:
    """What must hold inside of the transaction of a write, None when the request does not say.

    Raises:
        InvalidRequest: it asks for something that S3 does not offer for writes.
    """
    match, none_match = request.get("IfMatch"), request.get("IfNoneMatch")
    if none_match is not None and none_match != "*":
        raise InvalidRequest("A header you provided implies functionality that is not implemented: If-None-Match")
    if match is None and none_match is None:
        return None
    key = str(request["Key"])

    def refuse(current: Version | None) -> None:
        present = current is not None and not current.deleted
        if none_match is not None and present:
            raise PreconditionFailed("If-None-Match")
        if match is not None:
            if current is None or current.deleted:
                raise NoSuchKey(key)
            if not _lists(match, current.etag):
                raise PreconditionFailed("If-Match")

    return refuse


def delete_condition(request: Members) -> Callable[[Version | None], None] | None:
    """What must hold for an object that is to be deleted, None when the request does not say."""
    wanted = request.get("IfMatch") or request.get("ETag")
    if wanted is None:
        return None

    def refuse(current: Version | None) -> None:
        if current is None:
            raise NoSuchKey(request["Key"])
        if current.deleted or not _lists(wanted, current.etag):
            raise PreconditionFailed("If-Match")

    return refuse


def _lists(header: str, etag: str) -> bool:
    """Whether a list of entity tags holds this one; quotes may be left out."""
    bare = etag.strip('"')
    return any(each.strip() == "*" or each.strip().removeprefix("W/").strip('"') == bare for each in header.split(","))
