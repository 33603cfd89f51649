"""What a client says about the bytes it sends, compared with the bytes that arrived."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from typing import TYPE_CHECKING, NamedTuple

from clary.services.s3.errors import BadDigest, InvalidDigest, InvalidRequest
from clary.store.objects.checksums import ALGORITHMS, DEFAULT, FULL_OBJECT, Checksum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.http import Body
    from clary.services.service import Document, Members
    from clary.store.objects import Content, Objects

MEMBERS = {f"Checksum{name}": name for name in ALGORITHMS}
"""The member of requests and responses that holds a checksum, and its algorithm."""


class Claims(NamedTuple):
    """The digests that a request bears."""

    algorithm: str
    """The algorithm whose checksum is kept with the object."""
    value: str
    """The checksum by that algorithm, if it was sent ahead of the body."""
    md5: str
    """Content-MD5 in hexadecimal, or empty."""


async def verified(objects: Objects, said: Claims, content: Content, body: Body, key: bytes | None = None) -> Checksum:
    """The checksum to keep, once all that was said about the bytes proves true; trailers of the body count as well.

    Raises:
        BadDigest: the bytes are not those that were sent.
    """
    if said.md5 and said.md5 != content.md5:
        raise BadDigest("The Content-MD5 you specified did not match what we received.")
    algorithm, value = _trailing(body) or (said.algorithm, said.value)
    computed = await objects.checksum(content, algorithm, key)
    if value and value != computed:
        raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
    return Checksum(algorithm, FULL_OBJECT, computed)


def _trailing(body: Body) -> tuple[str, str] | None:
    """The checksum that came behind the body."""
    trailers: Mapping[str, str] = getattr(body, "trailers", {})
    for name, value in trailers.items():
        algorithm = name.removeprefix("x-amz-checksum-").upper()
        if algorithm in ALGORITHMS:
            return algorithm, value
    return None


def claims(request: Members, default: str = DEFAULT) -> Claims:
    """What a request says about its body; `default` is the algorithm when it names none.

    Raises:
        InvalidDigest: the Content-MD5 is no MD5.
        InvalidRequest: there are several checksums, or an algorithm that does not exist.
    """
    sent = [(MEMBERS[member], request[member]) for member in request.keys() & MEMBERS.keys()]
    if len(sent) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    algorithm, value = sent[0] if sent else (algorithm_of(request, default), "")
    if value and not _is_digest(value, len(ALGORITHMS[algorithm]().digest())):
        raise InvalidRequest(f"Value for x-amz-checksum-{algorithm.lower()} header is invalid.")
    return Claims(algorithm, value, _md5(request.get("ContentMD5")))


def algorithm_of(request: Members, default: str = DEFAULT) -> str:
    """The checksum algorithm that a request names.

    Raises:
        InvalidRequest: there is no such algorithm.
    """
    algorithm = str(request.get("ChecksumAlgorithm") or default).upper()
    if algorithm not in ALGORITHMS:
        raise InvalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types")
    return algorithm


def told(checksum: Checksum | None) -> Document:
    """The members of a response that tell a checksum."""
    if checksum is None:
        return {}
    return {f"Checksum{checksum.algorithm}": checksum.value, "ChecksumType": checksum.type}


def _md5(value: str | None) -> str:
    if value is None:
        return ""
    if not _is_digest(value, 16):
        raise InvalidDigest(value)
    return b64decode(value).hex()


def _is_digest(value: str, size_bytes: int) -> bool:
    try:
        return len(b64decode(value, validate=True)) == size_bytes
    except Error:
        return False


def computed(content: Content) -> Checksum:
    """The checksum of content that no client vouches for."""
    algorithm, value = next(iter(content.checksums.items()))
    return Checksum(algorithm, FULL_OBJECT, value)
