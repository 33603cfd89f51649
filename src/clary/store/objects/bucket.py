"""Content files in a bucket of any server that speaks S3.

A file is an object below a prefix; it is there once the server has acknowledged it. Who is about to name a file cannot
be seen from here, so files are swept only when they are a week old.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from hashlib import md5
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from clary.http import CHUNK_BYTES, Damaged, Stored
from clary.store.objects.errors import StorageFull, StorageSlow, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from concurrent.futures import Future

PART_BYTES = 8 << 20
PARTS_AT_ONCE = 3
"""Both together bound the memory of one write."""

THREADS = 32
"""They wait for the server most of the time."""

WEEK_S = 7 * 86_400.0
ATTEMPTS = 4
"""How often to go on where a download broke off."""

_FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "StorageFull"})
_SLOW = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"})
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})

log = logging.getLogger(__name__)


class Bucket:
    """A part of a bucket that holds content files and nothing else.

    Args:
        client: of botocore, for the server.
        name: of the bucket.
        prefix: of the files, ending in a slash, or empty.
    """

    def __init__(self, client: Any, name: str, prefix: str) -> None:
        self.client = client
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="contents")
        self._name = name
        self._prefix = prefix

    def place(self, name: str) -> dict[str, str]:
        """The object of a file."""
        return {"Bucket": self._name, "Key": self._prefix + name}

    def check(self) -> None:
        """Accepts a bucket that is there and may be listed.

        Raises:
            ValueError: it is not; the text says why.
        """
        try:
            self.client.list_objects_v2(Bucket=self._name, Prefix=self._prefix, MaxKeys=1)
        except (ClientError, BotoCoreError, HTTPClientError) as error:
            raise ValueError(f"CLARY_OBJECTS: the bucket {self._name} cannot be used: {error}") from error

    def create(self) -> IncomingObject:
        """A new file to write to."""
        return IncomingObject(self, uuid.uuid4().hex)

    def link(self, name: str) -> str:
        """A copy that the server makes; empty when it does not."""
        copy = uuid.uuid4().hex
        try:
            self.client.copy_object(**self.place(copy), CopySource=self.place(name))
        except (ClientError, BotoCoreError, HTTPClientError) as error:
            log.warning("the storage does not copy: %s", error)
            return ""
        return copy

    def release(self, name: str) -> None:
        """Nothing to do: files are protected by their age."""

    def read(self, name: str, start: int, length: int) -> RemoteSlice:
        """Bytes of a file."""
        return RemoteSlice(self, name, start, length)

    def size(self, name: str) -> int:
        """How many bytes a file has."""
        with telling():
            return int(self.client.head_object(**self.place(name))["ContentLength"])

    def remove(self, name: str) -> None:
        """Removes a file."""
        with telling():
            self.client.delete_object(**self.place(name))

    def names(self) -> Iterator[list[str]]:
        """The names of files that are older than a week, a page of the listing at a time."""
        before = time.time() - WEEK_S
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=self._prefix)
        with telling():
            for page in pages:
                found = (each for each in page.get("Contents", ()) if each["LastModified"].timestamp() < before)
                yield [each["Key"].removeprefix(self._prefix) for each in found]

    def is_protected(self, _: str) -> bool:
        """Whether a file may yet be named; `names` tells only those for which this is over."""
        return False

    def remove_abandoned(self, before: float) -> int:
        """Aborts uploads that were begun a week before; servers without a list of uploads have to do so themselves."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self._name, Prefix=self._prefix)
        removed = 0
        try:
            for upload in (each for page in pages for each in page.get("Uploads", ())):
                if upload["Initiated"].timestamp() < before - WEEK_S:
                    place = {"Bucket": self._name, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                    self.client.abort_multipart_upload(**place)
                    removed += 1
        except (ClientError, BotoCoreError, HTTPClientError) as error:
            log.warning("abandoned uploads to the storage cannot be listed: %s", error)
        return removed


class IncomingObject:
    """A content file that is being uploaded: at once when it is small, else in parts."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._buffer = bytearray()
        self._upload: dict[str, str] = {}
        self._parts: list[Future[dict[str, Any]]] = []

    def write(self, data: bytes) -> None:
        """Appends bytes; waits while too many of them are under way."""
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            with memoryview(self._buffer) as view:
                part = bytes(view[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            self._send(part)

    def finish(self) -> str:
        """Makes the file complete; tells its name."""
        with telling():
            if not self._upload:
                content = bytes(self._buffer)
                self._bucket.client.put_object(**self._bucket.place(self._name), Body=content, ContentMD5=_md5(content))
                return self._name
            if self._buffer:
                self._send(bytes(self._buffer))
            parts = [part.result() for part in self._parts]
            self._bucket.client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": parts})
        return self._name

    def abandon(self) -> None:
        """Removes what was uploaded; what cannot be removed now is swept later."""
        for part in self._parts:
            part.cancel()
        # Parts that arrive after the end of their upload would stay.
        wait(self._parts)
        try:
            if self._upload:
                self._bucket.client.abort_multipart_upload(**self._upload)
        except (ClientError, BotoCoreError, HTTPClientError) as error:
            log.warning("an upload to the storage cannot be aborted: %s", error)

    def _send(self, content: bytes) -> None:
        with telling():
            if not self._upload:
                place = self._bucket.place(self._name)
                begun = self._bucket.client.create_multipart_upload(**place)
                self._upload = {**place, "UploadId": begun["UploadId"]}
            if len(self._parts) >= PARTS_AT_ONCE:
                self._parts[-PARTS_AT_ONCE].result()
            self._parts.append(self._bucket.pool.submit(self._send_part, len(self._parts) + 1, content))

    def _send_part(self, number: int, content: bytes) -> dict[str, Any]:
        answer = self._bucket.client.upload_part(
            **self._upload, PartNumber=number, Body=content, ContentMD5=_md5(content)
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}


class RemoteSlice(Stored):
    """A part of a file in a bucket."""

    __slots__ = ("_bucket", "_length", "_name", "_start")

    def __init__(self, bucket: Bucket, name: str, start: int, length: int) -> None:
        self._bucket = bucket
        self._name = name
        self._start = start
        self._length = length

    def chunks(self) -> Generator[bytes, None, None]:
        """The bytes in pieces of at most a megabyte.

        Raises:
            Damaged: the file is gone, or shorter than it was.
            ServiceError: the server does not answer.
        """
        got = 0
        for attempt in range(ATTEMPTS):
            try:
                for chunk in self._from(got):
                    got += len(chunk)
                    yield chunk
            except (BotoCoreError, HTTPClientError) as error:
                if attempt == ATTEMPTS - 1:
                    raise StorageUnavailable from error
                log.warning("a download from the storage broke off: %s", error)
            else:
                break
        if got < self._length:
            raise Damaged(f"the file {self._name} lacks {self._length - got} bytes")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks, pool, loop = self.chunks(), self._bucket.pool, asyncio.get_running_loop()
        following = loop.run_in_executor(pool, next, chunks, b"")
        try:
            while chunk := await following:
                # The next piece is fetched while this one is sent.
                following = loop.run_in_executor(pool, next, chunks, b"")
                yield chunk
        finally:
            await asyncio.wait([following])
            await loop.run_in_executor(pool, chunks.close)

    def _from(self, offset: int) -> Iterator[bytes]:
        if offset == self._length:
            return
        span = f"bytes={self._start + offset}-{self._start + self._length - 1}"
        with telling(streaming=True):
            answer = self._bucket.client.get_object(**self._bucket.place(self._name), Range=span)
        body = answer["Body"]
        try:
            while chunk := body.read(CHUNK_BYTES):
                yield chunk
        finally:
            body.close()


@contextmanager
def telling(*, streaming: bool = False) -> Iterator[None]:
    """Raises the platform's errors for those of a server; when `streaming`, lost connections are left to the caller.

    Raises:
        Damaged: there is no such file.
        StorageFull: the server has no room.
        StorageSlow: it wants fewer requests.
        StorageUnavailable: anything else is wrong.
    """
    try:
        yield
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in _ABSENT:
            raise Damaged("a content file is gone from the storage") from error
        log.warning("the storage refuses: %s", error)
        if code in _FULL or status == StorageFull.status:
            raise StorageFull from error
        raise (StorageSlow if code in _SLOW else StorageUnavailable) from error
    except (BotoCoreError, HTTPClientError) as error:
        if streaming:
            raise
        log.warning("the storage does not answer: %s", error)
        raise StorageUnavailable from error


def _md5(content: bytes) -> str:
    return b64encode(md5(content, usedforsecurity=False).digest()).decode()
