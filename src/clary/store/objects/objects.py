"""All that the platform does with objects, in one place."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from clary.http import FileSlices, Stored
from clary.store.objects import scan
from clary.store.objects.checksums import FULL_OBJECT, Digests
from clary.store.objects.events import Events
from clary.store.objects.group import Group
from clary.store.objects.index import Index, named
from clary.store.objects.listing import Page, PageQuery, list_keys, list_versions
from clary.store.objects.readers import Readers
from clary.store.objects.receive import receive
from clary.store.objects.sealing import Opened
from clary.store.objects.sweeping import Sweeper
from clary.store.objects.uploads import Uploads
from clary.store.objects.version import Content, Protection

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from clary.store.database import Database
    from clary.store.objects.files import Files
    from clary.store.objects.sealing import Seals
    from clary.store.objects.version import Version


PLAIN = Protection()

Place = tuple[bytes | None, str | None, bytes | None]
"""Where a content is: the bytes themselves or the name of a file, and its sealed key."""


class Objects:
    """Objects and multipart uploads of all buckets.

    A write counts from the commit of its rows; `Database.sync` makes it survive power loss. Content files are on the
    disk by then, if the place that keeps them was made so.

    Args:
        database: holds the index and small objects.
        files: holds the others.
        seals: encrypts and decrypts.
        folder: what the processes that share the objects need to agree on.
    """

    def __init__(self, database: Database, files: Files, seals: Seals, folder: Path) -> None:
        self._database = database
        self.files = files
        self._seals = seals
        self._readers = Readers(folder / "readers")
        self.sweeper = Sweeper(folder, files, partial(named, database), self._readers)
        self.index = Index(database, self.sweeper)
        self.group = Group(self.index)
        self.uploads = Uploads(database, self.index)
        self.events = Events(database)

    def open(self) -> None:
        """Begins to sweep away content that nothing names."""
        self.sweeper.start()

    def close(self) -> None:
        """Ends the sweeping."""
        self.sweeper.close()
        self._readers.close()

    @asynccontextmanager
    async def received(
        self,
        body: AsyncIterable[bytes],
        algorithms: Iterable[str],
        protection: Protection = PLAIN,
        *,
        in_file: bool = False,
    ) -> AsyncIterator[Content]:
        """The content of `body`, with its digests; removed after the block unless it was put somewhere.

        Args:
            body: the bytes.
            algorithms: checksums to make besides the MD5.
            protection: how the bytes are to be kept.
            in_file: a part of an upload, which is always a file.
        """
        key = self._seals.new(protection.customer_key)
        digests, size, data, file = await receive(body, algorithms, self.files, key, in_file=in_file)
        md5 = digests.md5().hex()
        sealed_key = key.sealed if key else None
        content = Content(size, md5, protection.etag(md5), digests.values(), data, file, sealed_key)
        if not file:
            yield content
            return
        async with self._kept_or_removed(content):
            yield content

    @asynccontextmanager
    async def copied(
        self, version: Version, algorithm: str, key: bytes | None = None, protection: Protection = PLAIN
    ) -> AsyncIterator[Content]:
        """The content of a version (got with its content) once more, with its checksum; removed as by `received`.

        Args:
            version: what to copy.
            algorithm: of the checksum.
            key: the customer's key that the version is encrypted with, if it is.
            protection: how the copy is to be kept.
        """
        content = await self._shared(version, algorithm, protection)
        if content is None:
            source = chunks(self.read(version, key=key))
            async with self.received(source, (algorithm,), protection) as content:
                yield content
        else:
            async with self._kept_or_removed(content):
                yield content

    async def checksum(self, content: Content, algorithm: str, key: bytes | None = None) -> str:
        """A checksum of received content in Base64, made now if it was not on the way."""
        if algorithm not in content.checksums:
            digests = Digests((algorithm,))
            place = (content.bytes, content.file, content.sealed_key)
            async for chunk in chunks(self.piece(place, content.size, (0, content.size), key)):
                await asyncio.to_thread(digests.update, chunk)
            content.checksums.update(digests.values())
        return content.checksums[algorithm]

    def read(
        self, version: Version, start: int = 0, end: int | None = None, *, key: bytes | None = None
    ) -> bytes | Stored:
        """The bytes of a version (got with its content) from `start` up to `end`.

        Raises:
            CustomerKeyMissing: they are encrypted with a customer's key, and `key` is None.
            CustomerKeyWrong: `key` is another one.
        """
        end = version.size if end is None else end
        if version.upload_id is not None:
            pieces = self._pieces(version.upload_id, (start, end), key)
            return pieces[0] if len(pieces) == 1 else FileSlices(pieces, self._readers.reading)
        body = self.piece((version.bytes, version.file, version.sealed_key), version.size, (start, end), key)
        return b"".join(body.chunks()) if version.bytes is not None and isinstance(body, Stored) else body

    def list_keys(self, query: PageQuery) -> Page:
        """A page of current objects."""
        return list_keys(self._database, query)

    def list_versions(self, query: PageQuery) -> Page:
        """A page of versions and delete markers."""
        return list_versions(self._database, query)

    def by_key(self, bucket: str, after: str = "") -> Iterator[tuple[str, Iterator[Version]]]:
        """Every key behind `after` with its versions, from the latest to the earliest, read in bounded pages."""
        return scan.by_key(self._database, bucket, after)

    def totals(self, bucket: str) -> tuple[int, int]:
        """How many versions and delete markers a bucket has, and how many bytes."""
        return scan.totals(self._database, bucket)

    def versions_of(self, bucket: str, key: str, limit: int) -> list[Version]:
        """The latest versions and delete markers of one key."""
        return scan.versions_of(self._database, bucket, key, limit)

    async def _shared(self, version: Version, algorithm: str, protection: Protection) -> Content | None:
        """The content of a version under another name; None when its bytes have to be read."""
        checksum = version.checksum
        if not version.file or checksum is None or (checksum.algorithm, checksum.type) != (algorithm, FULL_OBJECT):
            return None
        if protection.customer_key or not self._seals.suits_copy(version.sealed_key):
            return None
        if not (version.has_md5 or protection.opaque):
            return None
        # Content files never change, so two objects may share one.
        name = await asyncio.to_thread(self.files.link, version.file)
        if not name:
            return None
        md5 = version.etag.strip('"')
        etag, known = protection.etag(md5), {algorithm: checksum.value}
        return Content(version.size, md5, etag, known, file=name, sealed_key=version.sealed_key)

    @asynccontextmanager
    async def _kept_or_removed(self, content: Content) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if content.file and not content.kept:
                await asyncio.to_thread(self.files.remove, content.file)
            self.files.release(content.file)

    def _pieces(self, upload_id: str, extent: tuple[int, int], key: bytes | None) -> list[Stored]:
        pieces: list[Stored] = []
        start, end = extent
        position = 0
        for part in self.uploads.parts(upload_id):
            within = max(start - position, 0), min(end - position, part.size)
            if within[0] < within[1]:
                piece = self.piece((None, part.file, part.sealed_key), part.size, within, key)
                assert isinstance(piece, Stored)  # noqa: S101  # parts are files
                pieces.append(piece)
            position += part.size
        return pieces

    def piece(self, place: Place, size: int, extent: tuple[int, int], key: bytes | None) -> bytes | Stored:
        """The plain bytes of one content between two places; errors are those of `read`."""
        data, file, sealed_key = place
        start, end = extent
        plain_key = self._seals.open(sealed_key, key) if sealed_key is not None else None
        if start >= end:
            return b""
        read = partial(_slice, data) if data is not None else partial(self.files.read, file or "")
        if plain_key is None:
            return read(start, end - start)
        return Opened(plain_key, size, (start, end - start), read)


def _slice(data: bytes, start: int, length: int) -> bytes:
    return data[start : start + length]


async def chunks(body: bytes | Stored) -> AsyncIterator[bytes]:
    """What `Objects.read` answered, as a stream."""
    if isinstance(body, bytes):
        yield body
        return
    async for chunk in body:
        yield chunk
