"""Objects of S3 to files of a bundle and back, as the execution role.

The bytes lie on this machine, so they are copied straight from the store once the role's permission was checked; no
client library stands between the creation of a job and the first line of its script.
"""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import tarfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from clary.controllers import leavings
from clary.errors import ServiceError
from clary.http import FileBody, FileSlice, FileSlices, Stored
from clary.toolkit import archive as archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from clary.context import Context
    from clary.platform import Platform


_BATCH = 64

NAME_BYTES = 255
"""Longest name of a file on this machine."""


class StagingError(Exception):
    """Data could not be brought in or out; the text is the failure reason of the job."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the data of a channel or input come from."""

    uri: str
    data_type: str = "S3Prefix"
    gunzip: bool = False


class Content(NamedTuple):
    """The content of an object."""

    body: bytes | Stored
    modified: int
    """Seconds since 1970."""


class Stager:
    """Copies on behalf of one role; `context(operation)` makes the context of a call to S3."""

    def __init__(self, platform: Platform, context: Callable[[str], Context], role_arn: str) -> None:
        self._platform = platform
        self._context = context
        self._role_arn = role_arn

    def download(self, source: Source, target: Path) -> int:
        """Copies what `source` names into the folder `target`; tells the number of bytes.

        Raises:
            StagingError: there is nothing, it is not allowed, or the names do not fit into a folder.
        """
        target.mkdir(parents=True, exist_ok=True)
        size = 0
        for bucket, key, name in self.objects(source):
            try:
                size += self._fetch(bucket, key, _inside(target, name), compressed=source.gunzip)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise StagingError(f"ClientError: Data download failed:{key!r} is both a file and a folder.") from error
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise StagingError(f"ClientError: Data download failed:{key!r} is no gzip file: {error}") from error
        return size

    def upload(self, path: Path, uri: str) -> None:
        """Copies one file to the object `uri`.

        Raises:
            StagingError: it is not allowed.
        """
        bucket, key = split_uri(uri)
        try:
            self._call(
                "PutObject",
                {"Bucket": bucket, "Key": key, "Body": FileBody(path), "ContentLength": path.stat().st_size},
            )
        except ServiceError as error:
            raise StagingError(f"ClientError: Artifact upload failed:{_told(error)}") from error

    def upload_folder(self, bundle: Path, folder: Path, uri: str) -> None:
        """Copies every file below `folder`, a part of `bundle`, below the prefix `uri`; links are not followed.

        Raises:
            StagingError: it is not allowed.
        """
        try:
            for path in leavings.files(bundle, folder):
                self.upload(path, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}")
        except leavings.LeadsOut as error:
            raise StagingError(f"ClientError: Artifact upload failed:{error}") from error

    def read(self, uri: str) -> bytes:
        """The content of one object.

        Raises:
            StagingError: it is not there or not allowed.
        """
        bucket, key = split_uri(uri)
        body = self.open(bucket, key).body
        return body if isinstance(body, bytes) else b"".join(body.chunks())

    def exists(self, uri: str) -> bool:
        """Whether there is an object of exactly this name that the role may see."""
        bucket, key = split_uri(uri)
        try:
            self._call("HeadObject", {"Bucket": bucket, "Key": key})
        except ServiceError:
            return False
        return True

    def has_any(self, uri: str) -> bool:
        """Whether anything lies below the prefix `uri`.

        Raises:
            StagingError: the role may not list it.
        """
        bucket, prefix = split_uri(uri)
        return next(self._keys(bucket, prefix), None) is not None

    def fetch(self, uri: str, target: Path) -> None:
        """Copies one object to one file.

        Raises:
            StagingError: it is not there or not allowed.
        """
        bucket, key = split_uri(uri)
        self._fetch(bucket, key, target, compressed=False)

    def objects(self, source: Source) -> Iterator[tuple[str, str, str]]:
        """Bucket, key and name within the channel of every object.

        Raises:
            StagingError: there is none, or the role may not list them.
        """
        if source.data_type == "ManifestFile":
            yield from self._manifest(source.uri)
            return
        bucket, prefix = split_uri(source.uri)
        found = False
        for key in self._keys(bucket, prefix):
            found = True
            if not key.endswith("/"):
                yield bucket, key, _name(key, prefix)
        if not found:
            raise StagingError(
                "ClientError: Data download failed:Failed to download data. No S3 objects found under S3 URL "
                f'"{source.uri}" given in input data source. Please ensure that the bucket exists in the selected '
                f"region ({self._context('ListObjectsV2').region}), that objects exist under that S3 prefix, and that "
                f'the role "{self._role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
            )

    def _manifest(self, uri: str) -> Iterator[tuple[str, str, str]]:
        try:
            head, *names = orjson.loads(self.read(uri))
            bucket, prefix = split_uri(head["prefix"])
            found = [(bucket, prefix + name, name) for name in names]
        except (ValueError, KeyError, TypeError) as error:
            raise StagingError(f"ClientError: The manifest {uri} is not valid: {error}") from error
        yield from found

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            try:
                page = self._call("ListObjectsV2", request)
            except ServiceError as error:
                raise StagingError(f"ClientError: Data download failed:{_told(error)}") from error
            yield from (entry["Key"] for entry in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def open(self, bucket: str, key: str) -> Content:
        """An object as it is stored.

        Raises:
            StagingError: it is not there or not allowed.
        """
        return next(self.open_each([(bucket, key)]))

    def open_each(self, objects: Iterable[tuple[str, str]]) -> Iterator[Content]:
        """Objects of these buckets and keys, looked up many at a time; errors are those of `open`."""
        rest = iter(objects)
        while batch := list(itertools.islice(rest, _BATCH)):
            calls = [(self._context("GetObject"), {"Bucket": bucket, "Key": key}) for bucket, key in batch]
            for (bucket, key), answer in zip(batch, self._platform.invoke.call_each(calls), strict=True):
                if isinstance(answer, ServiceError):
                    raise StagingError(
                        f"ClientError: Data download failed:Unable to download object s3://{bucket}/{key} "
                        f"({_told(answer)})"
                    ) from answer
                yield Content(answer["Body"], int(answer["LastModified"]))

    def _fetch(self, bucket: str, key: str, target: Path, *, compressed: bool) -> int:
        body = self.open(bucket, key).body
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(body, bytes):
            target.write_bytes(body)
        else:
            write(body, target)
        if compressed:
            gunzip(target)
        return target.stat().st_size

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return self._platform.invoke.call(self._context(operation), request)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    Raises:
        StagingError: it is no such address.
    """
    if not uri.startswith("s3://"):
        raise StagingError(f"ClientError: {uri} is not an S3 URI.")
    bucket, _, key = uri[5:].partition("/")
    return bucket, key


def unpack(archive: Path, target: Path, uri: str) -> None:
    """Unpacks a `.tar.gz` and removes it; nothing may land outside of `target`.

    Raises:
        StagingError: it is no such archive.
    """
    try:
        archives.unpack(archive, target)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StagingError(f"ClientError: Failed to extract the archive {uri}: {error}") from error
    archive.unlink()


def _name(key: str, prefix: str) -> str:
    """The path of an object within its channel, as SageMaker's File mode maps it."""
    return PurePosixPath(key).name if key == prefix else key[len(prefix) :].lstrip("/")


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\0" in name or any(len(part.encode()) > NAME_BYTES for part in parts):
        raise StagingError(f"ClientError: Data download failed:the key {name!r} does not name a file within a folder.")
    return path


def write(body: Stored, target: Path) -> None:
    """Writes what is stored, parts of files within the file system where it can do that by itself."""
    several = body if isinstance(body, FileSlices) else FileSlices([body])
    with target.open("wb") as copy, several.held():
        for piece in several.slices:
            rest = _behind(piece, _copy_range(piece, copy.fileno())) if isinstance(piece, FileSlice) else piece
            copy.seek(0, os.SEEK_END)
            copy.writelines(rest.chunks())
            copy.flush()


def _behind(piece: FileSlice, moved: int) -> FileSlice:
    return FileSlice(piece.path, piece.offset + moved, piece.length - moved)


def _copy_range(piece: FileSlice, target: int) -> int:
    """How many bytes the file system copied to the end of `target`; fewer than all where it cannot."""
    moved = 0
    # Not every system has the call, and not every file system the ability.
    with piece.path.open("rb") as source, suppress(OSError, AttributeError):
        while moved < piece.length:
            count = os.copy_file_range(source.fileno(), target, piece.length - moved, piece.offset + moved)
            if not count:
                break
            moved += count
    return moved


def gunzip(path: Path) -> None:
    """Decompresses a file.

    Raises:
        BadGzipFile, EOFError, zlib.error: it is not compressed, or damaged.
    """
    draft = path.with_name(f"{path.name}.plain")
    with gzip.open(path) as packed, draft.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
    draft.replace(path)


def _told(error: ServiceError) -> str:
    return f"{error.code}: {error.message}"
