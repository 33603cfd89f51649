"""All that the platform does with objects, in one place."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from clary.http import FileSlice, FileSlices
from clary.store.objects import scan
from clary.store.objects.checksums import FULL_OBJECT, Digests
from clary.store.objects.files import Files
from clary.store.objects.index import Index
from clary.store.objects.listing import Page, PageQuery, list_keys, list_versions
from clary.store.objects.receive import receive
from clary.store.objects.uploads import Uploads
from clary.store.objects.version import Content

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from clary.store.database import Database
    from clary.store.objects.version import Version


class Objects:
    """Objects and multipart uploads of all buckets.

    A write counts from the commit of its rows; `Database.sync` makes it survive power loss. Content files are on the
    disk by then when `durable` is set.

    Args:
        database: holds the index and small objects.
        folder: holds the others.
        durable: whether content files are flushed to the disk before they count.
    """

    def __init__(self, database: Database, folder: Path, *, durable: bool = True) -> None:
        self._database = database
        self._files = Files(folder, durable=durable)
        self.index = Index(database, self._files)
        self.uploads = Uploads(database, self.index)
        self._files.open(self.index.files)

    def close(self) -> None:
        """Ends the sweeping of replaced content."""
        self._files.close()

    @asynccontextmanager
    async def received(
        self, body: AsyncIterable[bytes], algorithms: Iterable[str], *, in_file: bool = False
    ) -> AsyncIterator[Content]:
        """The content of `body`, with its digests; removed after the block unless it was put somewhere.

        Args:
            body: the bytes.
            algorithms: checksums to make besides the MD5.
            in_file: a part of an upload, which is always a file.
        """
        content = await receive(body, algorithms, self._files, in_file=in_file)
        try:
            yield content
        finally:
            self._drop_unless_kept(content)

    @asynccontextmanager
    async def copied(self, version: Version, algorithm: str) -> AsyncIterator[Content]:
        """The content of a version (got with its content) once more, with its checksum; removed as by `received`."""
        checksum = version.checksum
        if not version.file or checksum is None or (checksum.algorithm, checksum.type) != (algorithm, FULL_OBJECT):
            async with self.received(chunks(self.read(version)), (algorithm,)) as content:
                yield content
            return
        # Content files never change, so two objects may share one.
        name = await asyncio.to_thread(self._files.link, version.file)
        content = Content(version.size, version.etag.strip('"'), {algorithm: checksum.value}, None, name)
        try:
            yield content
        finally:
            self._drop_unless_kept(content)

    async def checksum(self, content: Content, algorithm: str) -> str:
        """A checksum of received content in Base64, made now if it was not on the way."""
        if algorithm not in content.checksums:
            digests = Digests((algorithm,))
            whole = FileSlice(self._files.path(content.file), 0, content.size) if content.file else content.bytes or b""
            async for chunk in chunks(whole):
                await asyncio.to_thread(digests.update, chunk)
            content.checksums.update(digests.values())
        return content.checksums[algorithm]

    def _drop_unless_kept(self, content: Content) -> None:
        if content.file and not content.kept:
            self._files.remove(content.file)

    def read(self, version: Version, start: int = 0, end: int | None = None) -> bytes | FileSlice | FileSlices:
        """The bytes of a version (got with its content) from `start` up to `end`."""
        end = version.size if end is None else end
        if version.bytes is not None:
            return version.bytes[start:end]
        if version.file is not None:
            return FileSlice(self._files.path(version.file), start, end - start)
        if version.upload_id is None or start >= end:
            return b""
        slices = self._slices(version.upload_id, start, end)
        names = [piece.path.name for piece in slices]
        return slices[0] if len(slices) == 1 else FileSlices(slices, partial(self._files.held, names))

    def list_keys(self, query: PageQuery) -> Page:
        """A page of current objects."""
        return list_keys(self._database, query)

    def list_versions(self, query: PageQuery) -> Page:
        """A page of versions and delete markers."""
        return list_versions(self._database, query)

    def by_key(self, bucket: str, after: str = "") -> Iterator[tuple[str, Iterator[Version]]]:
        """Every key behind `after` with its versions, from the latest to the earliest, read in bounded pages."""
        return scan.by_key(self._database, bucket, after)

    def versions_of(self, bucket: str, key: str, limit: int) -> list[Version]:
        """The latest versions and delete markers of one key."""
        return scan.versions_of(self._database, bucket, key, limit)

    def _slices(self, upload_id: str, start: int, end: int) -> list[FileSlice]:
        slices = []
        position = 0
        for part in self.uploads.parts(upload_id):
            first, last = max(start - position, 0), min(end - position, part.size)
            if first < last:
                slices.append(FileSlice(self._files.path(part.file), first, last - first))
            position += part.size
        return slices


async def chunks(body: bytes | FileSlice | FileSlices) -> AsyncIterator[bytes]:
    """What `Objects.read` answered, as a stream."""
    if isinstance(body, bytes):
        yield body
        return
    async for chunk in FileSlices((body,)) if isinstance(body, FileSlice) else body:
        yield chunk
