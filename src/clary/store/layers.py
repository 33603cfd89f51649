"""The layers of container images: bytes that bear the SHA-256 of themselves as a name, in the repository of an image.

They are objects in buckets whose names no bucket of S3 can have. An upload is one of many parts; the parts of an object
stay as they are, so that no layer is ever copied.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from typing import TYPE_CHECKING, NamedTuple

from clary.http import Stored
from clary.store.objects.checksums import FULL_OBJECT, Checksum
from clary.store.objects.index import NewObject
from clary.store.objects.objects import PLAIN
from clary.store.objects.version import Content, Meta, Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator

    from clary.clock import Clock
    from clary.store.objects import Objects
    from clary.store.objects.version import Part, Version

_ALGORITHM = "SHA256"


class DigestMismatch(Exception):
    """The bytes are not those whose digest was given; the text is the digest that they have."""


class UploadGone(Exception):
    """There is no such upload, or it is over."""


class Repository(NamedTuple):
    """Where an image is kept."""

    account: str
    region: str
    name: str

    @property
    def bucket(self) -> str:
        """The bucket of its layers: the slashes keep it apart from all of S3."""
        return f"ecr/{self.account}/{self.region}"

    def key(self, digest: str) -> str:
        """The object of one of its layers."""
        return f"{self.name}@{digest}"


class Layers:
    """The layers of all repositories, and the uploads that become layers."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    def find(self, repository: Repository, digest: str) -> Version | None:
        """A layer with its content, None when the repository does not have it."""
        return self._objects.index.get(repository.bucket, repository.key(digest), content=True)

    def read(self, layer: Version, start: int = 0, end: int | None = None) -> bytes | Stored:
        """The bytes of a layer from `start` up to `end`."""
        return self._objects.read(layer, start, end)

    def chunks(self, layer: Version) -> Iterator[bytes]:
        """The bytes of a layer in pieces, for a thread that may wait for the disk."""
        body = self._objects.read(layer)
        yield from body.chunks() if isinstance(body, Stored) else (body,)

    def begin(self, repository: Repository, initiator: str) -> Upload:
        """Opens an upload."""
        now = self._clock.now().timestamp()
        upload = Upload(
            str(uuid.uuid4()),
            repository.bucket,
            repository.name,
            now,
            initiator,
            Meta().dump(),
            _ALGORITHM,
            FULL_OBJECT,
        )
        self._objects.uploads.begin(upload)
        return upload

    def upload(self, repository: Repository, upload_id: str) -> Upload:
        """An upload that is under way.

        Raises:
            UploadGone: there is none.
        """
        upload = self._objects.uploads.get(repository.bucket, repository.name, upload_id)
        if upload is None:
            raise UploadGone(upload_id)
        return upload

    def size(self, upload: Upload) -> int:
        """How many bytes have been uploaded."""
        return sum(part.size for part in self._objects.uploads.parts(upload.upload_id))

    async def append(self, upload: Upload, body: AsyncIterable[bytes]) -> int:
        """Adds bytes at the end of an upload; tells how many it has now.

        Raises:
            UploadGone: it ended meanwhile.
        """
        number = len(self._objects.uploads.parts(upload.upload_id)) + 1
        async with self._objects.received(body, (_ALGORITHM,), in_file=True) as content:
            checksum = Checksum(_ALGORITHM, FULL_OBJECT, content.checksums[_ALGORITHM])
            now = self._clock.now().timestamp()
            if content.size and not self._objects.uploads.put_part(upload, number, content, checksum, now):
                raise UploadGone(upload.upload_id)
        return self.size(upload)

    async def finish(self, repository: Repository, upload: Upload, digest: str) -> Version:
        """Makes a layer of all that was uploaded.

        Raises:
            DigestMismatch: it is not what `digest` says; the upload is over.
            UploadGone: it was over already.
        """
        parts = self._objects.uploads.parts(upload.upload_id)
        actual = await asyncio.to_thread(self._digest, parts)
        if f"sha256:{actual.hex()}" != digest:
            self._objects.uploads.abort(upload)
            raise DigestMismatch(f"sha256:{actual.hex()}")
        new = self._new(repository, digest, sum(part.size for part in parts))
        whole = await self._alone(parts)
        if whole is not None:
            layer = self._put(new, whole)
            self._objects.uploads.abort(upload)
            return layer
        version = self._objects.uploads.complete(upload, new, parts, "", None)
        if version is None:
            raise UploadGone(upload.upload_id)
        return version

    def abort(self, upload: Upload) -> None:
        """Gives an upload up."""
        self._objects.uploads.abort(upload)

    async def mount(self, source: Repository, target: Repository, digest: str) -> Version | None:
        """Gives a repository the layer of another one; None when that has no such layer."""
        layer = self.find(source, digest)
        if layer is None:
            return None
        async with self._objects.copied(layer, _ALGORITHM, None, PLAIN) as content:
            return self._objects.index.put(self._new(target, digest, content.size), content, "")

    def registries(self) -> Iterator[Repository]:
        """The accounts and regions that have layers or uploads, each as a repository without a name."""
        for bucket in self._objects.index.buckets():
            if bucket.startswith("ecr/"):
                _, account, region = bucket.split("/")
                yield Repository(account, region, "")

    def all(self, registry: Repository) -> Iterator[tuple[Repository, str, float]]:
        """Every layer of an account and region: the repository, the digest, and when it came."""
        for key, versions in self._objects.by_key(registry.bucket):
            name, _, digest = key.partition("@")
            for version in versions:
                yield registry._replace(name=name), digest, version.modified

    def remove(self, repository: Repository, digest: str) -> None:
        """Removes a layer; one that is gone already is no error."""
        self._objects.index.remove(repository.bucket, repository.key(digest), "", self._clock.now().timestamp())

    def remove_all(self, repository: Repository) -> None:
        """Removes the layers of a repository, and gives up its uploads."""
        start = repository.key("")
        for key, _ in self._objects.by_key(repository.bucket, start):
            if not key.startswith(start):
                break
            self.remove(repository, key.removeprefix(start))
        for upload in self._objects.uploads.all_of(repository.bucket):
            if upload.key == repository.name:
                self._objects.uploads.abort(upload)

    def abort_older(self, registry: Repository, before: float) -> None:
        """Gives up the uploads of an account and region that were begun before a time."""
        for upload in self._objects.uploads.all_of(registry.bucket):
            if upload.initiated < before:
                self._objects.uploads.abort(upload)

    def _new(self, repository: Repository, digest: str, size: int) -> NewObject:
        raw = bytes.fromhex(digest.removeprefix("sha256:"))
        checksum = Checksum(_ALGORITHM, FULL_OBJECT, base64.b64encode(raw).decode())
        now = self._clock.now().timestamp()
        return NewObject(repository.bucket, repository.key(digest), size, f'"{digest}"', now, checksum, Meta())

    def _put(self, new: NewObject, content: Content) -> Version:
        try:
            return self._objects.index.put(new, content, "")
        finally:
            self._objects.files.release(content.file)

    async def _alone(self, parts: list[Part]) -> Content | None:
        """The content of an only part under a name of its own, which others can share, where that can be."""
        if len(parts) != 1:
            return None
        part = parts[0]
        name = await asyncio.to_thread(self._objects.files.link, part.file)
        return Content(part.size, "", part.etag, {}, file=name, sealed_key=part.sealed_key) if name else None

    def _digest(self, parts: list[Part]) -> bytes:
        """The SHA-256 of some parts in their order; known already when there is only one."""
        if len(parts) == 1 and parts[0].checksum is not None:
            return base64.b64decode(parts[0].checksum.value)
        digest = hashlib.sha256()
        for part in parts:
            body = self._objects.piece((None, part.file, part.sealed_key), part.size, (0, part.size), None)
            for chunk in body.chunks() if isinstance(body, Stored) else (body,):
                digest.update(chunk)
        return digest.digest()
