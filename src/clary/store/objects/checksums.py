"""The checksums that S3 knows, as running digests.

Source: "Checking object integrity for data uploads in Amazon S3", Amazon S3 user guide.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from typing_extensions import Buffer

DEFAULT = "CRC64NVME"
"""What S3 computes when the client names no algorithm."""

COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"


class Digest(Protocol):
    """A checksum in the making."""

    def update(self, data: Buffer, /) -> None:
        """Takes more bytes."""
        ...

    def digest(self) -> bytes:
        """The checksum of all bytes so far; called once."""
        ...


class Checksum(NamedTuple):
    """The checksum of an object or part: `value` is Base64, for a composite one with the number of parts behind it."""

    algorithm: str
    type: str
    value: str

    def __str__(self) -> str:
        return " ".join(self)


def parse(text: str) -> Checksum | None:
    """The checksum that `str` wrote."""
    return Checksum(*text.split(" ")) if text else None


@cache
def _crt() -> Any:
    """The native library behind the rarer algorithms: loading it takes a third of the platform's start."""
    return import_module("awscrt.checksums")


class _Crc:
    def __init__(self, compute: Callable[[Buffer, int], int], size_bytes: int) -> None:
        self._compute = compute
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


class _XxHash:
    def __init__(self, state: Any) -> None:
        self._state = state

    def update(self, data: Buffer, /) -> None:
        self._state.update(data)

    def digest(self) -> bytes:
        return bytes(self._state.finalize())


ALGORITHMS: Mapping[str, Callable[[], Digest]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(_crt().crc32c, 4),
    "CRC64NVME": lambda: _Crc(_crt().crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "XXHASH64": lambda: _XxHash(_crt().XXHash.new_xxhash64()),
    "XXHASH3": lambda: _XxHash(_crt().XXHash.new_xxhash3_64()),
    "XXHASH128": lambda: _XxHash(_crt().XXHash.new_xxhash3_128()),
}

_COMBINE: Mapping[str, Callable[[int, int, int], int]] = {
    "CRC32": lambda *parts: _crt().combine_crc32(*parts),
    "CRC32C": lambda *parts: _crt().combine_crc32c(*parts),
    "CRC64NVME": lambda *parts: _crt().combine_crc64nvme(*parts),
}
FULL_OBJECT_ALGORITHMS = frozenset(_COMBINE)
"""Those whose value for a whole object follows from the values of its parts."""


class Digests:
    """The MD5 of a stream, which is its ETag, and the checksums that were asked for."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._running = {name: ALGORITHMS[name]() for name in algorithms}

    def update(self, data: Buffer) -> None:
        """Takes more bytes."""
        self.update_md5(data)
        self.update_checksums(data)

    def update_md5(self, data: Buffer) -> None:
        """Takes more bytes for the MD5 alone, which another thread may do than the rest."""
        self._md5.update(data)

    def update_checksums(self, data: Buffer) -> None:
        """Takes more bytes for all but the MD5."""
        for digest in self._running.values():
            digest.update(data)

    def md5(self) -> bytes:
        """The MD5 of all bytes."""
        return self._md5.digest()

    def values(self) -> dict[str, str]:
        """The checksums in Base64, by algorithm."""
        return {name: b64encode(digest.digest()).decode() for name, digest in self._running.items()}


def of_parts(algorithm: str, type_: str, parts: Sequence[tuple[str, int]]) -> Checksum:
    """The checksum of an object made of parts, each given by its own value in Base64 and its size in bytes."""
    raw = [(b64decode(value), size) for value, size in parts]
    if type_ == FULL_OBJECT:
        combine, width = _COMBINE[algorithm], len(raw[0][0])
        total = 0
        for value, size in raw:
            total = combine(total, int.from_bytes(value, "big"), size)
        return Checksum(algorithm, type_, b64encode(total.to_bytes(width, "big")).decode())
    digest = ALGORITHMS[algorithm]()
    digest.update(b"".join(value for value, _ in raw))
    return Checksum(algorithm, COMPOSITE, f"{b64encode(digest.digest()).decode()}-{len(parts)}")
