"""What requests and answers of the protocol have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import orjson

from clary.errors import ServiceError
from clary.http import Response
from clary.registry_access import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.http import Request
    from clary.registry_access import Visitor
    from clary.store.layers import Repository

JSON: Mapping[str, str] = MappingProxyType({"content-type": "application/json"})
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Refusal(Exception):
    """What is told to a container tool instead of an answer."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a repository, and whose it is."""

    http: Request
    visitor: Visitor
    place: Repository
    named: str
    """The digest, tag or upload that the path ends with."""
    query: Mapping[str, str]

    @property
    def base(self) -> str:
        """The path of the repository: answers tell paths rather than addresses, which hold behind whatever proxy."""
        return f"{PREFIX}{quote(self.place.name)}"


def told(error: Refusal | ServiceError) -> Response:
    """An error as the protocol tells it."""
    if isinstance(error, ServiceError):
        status, code = _CODES.get(error.code, (error.status, "UNKNOWN"))
        error = Refusal(status, code, error.message)
    errors = {"errors": [{"code": error.code, "message": error.message}]}
    return Response(error.status, {**JSON, **error.headers}, orjson.dumps(errors))


def byte_range(header: str, size: int) -> tuple[int, int]:
    """The bytes that a client asks for; all of them where it does not ask for a single range that is there."""
    found = _RANGE.fullmatch(header)
    if found is None or int(found[1]) >= size:
        return 0, size
    return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size


def listed(visit: Visit, path: str, member: str, names: list[str], **head: str) -> Response:
    """A page of a list, as `n` and `last` ask for it."""
    names = [name for name in names if name > visit.query.get("last", "")]
    wanted = visit.query.get("n", "")
    count = int(wanted) if wanted.isdigit() else len(names)
    headers = dict(JSON)
    if count and count < len(names):
        following = urlencode({"n": count, "last": names[count - 1]})
        headers["link"] = f'<{path}?{following}>; rel="next"'
    return Response(200, headers, orjson.dumps({**head, member: names[:count]}))


_CODES = {
    "AccessDenied": (403, "DENIED"),
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "InvalidParameterException": (400, "MANIFEST_INVALID"),
    "ValidationException": (400, "NAME_INVALID"),
    "LayersNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "ReferencedImagesNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "ImageDigestDoesNotMatchException": (400, "DIGEST_INVALID"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "RequestEntityTooLarge": (413, "MANIFEST_INVALID"),
}
"""Errors of ECR as container tools know them."""
