"""Reads every object again and compares it with what is known of it; changes nothing."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import md5
from typing import TYPE_CHECKING, Literal, NamedTuple

from clary.http import Damaged, Stored
from clary.store.keyring import WrongKey
from clary.store.objects.checksums import FULL_OBJECT, Checksum, Digests, of_parts
from clary.store.objects.sealing import needs_customer, sealed_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from clary.store.objects.objects import Objects, Place
    from clary.store.objects.version import Meta, Part, Upload, Version

THREADS = 4
"""Digests and reads let go of the interpreter lock."""

AHEAD = 64
"""How many objects may be waiting for a thread."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `part` is 0 for an object as a whole."""

    problem: Literal["damaged", "missing", "orphaned"]
    detail: str
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    part: int = 0
    file: str = ""


class Checked(NamedTuple):
    """One object or unfinished upload that was read; `sealed`: only a customer's key would open its bytes."""

    size: int
    sealed: bool
    findings: Sequence[Finding]


class _Known(NamedTuple):
    """What is known of one content."""

    place: Place
    size: int
    md5: str
    """Empty when nothing tells it."""
    checksum: Checksum | None


class Scrub:
    """Checks objects by several threads, while others may read and write them.

    A storage that does not answer ends the scrub with its ServiceError.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def objects(self, bucket: str = "") -> Iterator[Checked]:
        """Checks all versions and parts of one bucket, or of all; what goes away meanwhile is passed over."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="scrub") as pool:
            waiting: deque[Future[Checked | None]] = deque()
            for check in self._checks(bucket):
                waiting.append(pool.submit(check))
                if len(waiting) >= AHEAD and (checked := waiting.popleft().result()):
                    yield checked
            yield from filter(None, (future.result() for future in waiting))

    def orphans(self) -> Iterator[Finding]:
        """The content files that nothing names."""
        for name in self._objects.sweeper.orphans():
            yield Finding("orphaned", "no object names this content file", file=name)

    def _checks(self, bucket: str) -> Iterator[Callable[[], Checked | None]]:
        for name in [bucket] if bucket else self._objects.index.buckets():
            for _, versions in self._objects.by_key(name):
                yield from (partial(self._check_version, version) for version in versions if not version.deleted)
            for upload in self._objects.uploads.all_of(name):
                yield partial(self._check_upload, upload)

    def _check_version(self, found: Version) -> Checked | None:
        version = self._again(found)
        if version is None:
            return None
        about = partial(Finding, bucket=version.bucket, key=version.key, version_id=version.version_id)
        if version.upload_id:
            parts = self._objects.uploads.parts(version.upload_id)
            findings = [*self._check_parts(parts, version.meta, about), *_compared_as_whole(version, parts, about)]
        else:
            place = (version.bytes, version.file, version.sealed_key)
            digest = version.etag.strip('"') if version.has_md5 else ""
            # A replica of an object of several parts keeps the checksum of those, but not the parts.
            checksum = version.checksum if version.checksum and version.checksum.type == FULL_OBJECT else None
            findings = list(self._compared(_Known(place, version.size, digest, checksum), about))
        if findings and self._again(found) is None:
            return None
        return Checked(version.size, bool(version.meta.customer_key), findings)

    def _check_upload(self, upload: Upload) -> Checked | None:
        about = partial(Finding, bucket=upload.bucket, key=upload.key)
        parts = self._objects.uploads.parts(upload.upload_id)
        findings = list(self._check_parts(parts, upload.meta, about))
        # It may have been completed, aborted, or given other parts meanwhile.
        if findings and self._objects.uploads.parts(upload.upload_id) != parts:
            return None
        return Checked(sum(part.size for part in parts), bool(upload.meta.customer_key), findings)

    def _again(self, found: Version) -> Version | None:
        """The same version as it is now, with its content."""
        version = self._objects.index.get(found.bucket, found.key, found.version_id, content=True)
        return version if version is not None and version.sequence == found.sequence else None

    def _check_parts(self, parts: Sequence[Part], meta: Meta, about: partial[Finding]) -> Iterator[Finding]:
        for part in parts:
            digest = "" if meta.opaque else part.etag.strip('"')
            known = _Known((None, part.file, part.sealed_key), part.size, digest, part.checksum)
            yield from self._compared(known, partial(about, part=part.number))

    def _compared(self, known: _Known, about: partial[Finding]) -> Iterator[Finding]:
        data, file, sealed_key = known.place
        about = partial(about, file=file or "")
        try:
            kept = len(data) if data is not None else self._objects.files.size(file or "")
        except Damaged as error:
            yield about("missing", str(error))
            return
        expected = known.size if sealed_key is None else sealed_size(known.size)
        if kept != expected:
            yield about("damaged", f"{kept} bytes are stored rather than {expected}")
        elif sealed_key is None or not needs_customer(sealed_key):
            yield from self._read(known, about)

    def _read(self, known: _Known, about: partial[Finding]) -> Iterator[Finding]:
        digests = Digests([known.checksum.algorithm] if known.checksum else [])
        try:
            body = self._objects.piece(known.place, known.size, (0, known.size), None)
            for chunk in body.chunks() if isinstance(body, Stored) else [body]:
                digests.update(chunk)
        except (Damaged, WrongKey) as error:
            yield about("damaged", str(error))
            return
        if known.md5 and digests.md5().hex() != known.md5:
            yield about("damaged", "the bytes do not have the MD5 that the ETag tells")
        elif known.checksum and digests.values()[known.checksum.algorithm] != known.checksum.value:
            yield about("damaged", f"the bytes do not have their {known.checksum.algorithm} checksum")


def _compared_as_whole(version: Version, parts: Sequence[Part], about: partial[Finding]) -> Iterator[Finding]:
    """Whether the parts are those that the object was made of."""
    size = sum(part.size for part in parts)
    if size != version.size:
        yield about("missing", f"its parts have {size} bytes rather than {version.size}")
        return
    if not version.meta.opaque:
        digest = md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts), usedforsecurity=False)
        if version.etag != f'"{digest.hexdigest()}-{len(parts)}"':
            yield about("damaged", "its parts do not have the ETags that it was made of")
    values = [(part.checksum.value, part.size) for part in parts if part.checksum is not None]
    whole = version.checksum
    if whole and len(values) == len(parts) and of_parts(whole.algorithm, whole.type, values) != whole:
        yield about("damaged", "its parts do not have the checksums that it was made of")
