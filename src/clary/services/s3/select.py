"""SelectObjectContent: questions in SQL about one object.

Source: "SelectObjectContent", Amazon S3 API reference; "SQL reference for Amazon S3 Select", Amazon S3 user guide.
"""

from __future__ import annotations

import asyncio
import bz2
import json
import sys
import zlib
from contextlib import suppress
from importlib.util import find_spec
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Protocol

from clary.errors import NotSupported, ServiceError
from clary.services.s3 import encryption
from clary.services.s3.archive import refuse_archived
from clary.services.s3.bucket import bucket_of
from clary.services.s3.errors import InvalidRequest
from clary.services.s3.reading import readable
from clary.store.objects import chunks

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import BinaryIO

    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

MAX_EXPRESSION_BYTES = 256 << 10
MAX_INPUT_BYTES = 4 << 30
"""The most that a compressed object may grow to."""
TIMEOUT_S = 120.0
MAX_PROCESSES = 4
"""As many expressions are answered at the same time."""

_RECORDS_BYTES = 1 << 16
_FORMATS = ("CSV", "JSON", "Parquet")
_LINE_ENDS = (None, "\n", "\r\n", "\r")


class SelectError(ServiceError):
    """The expression, or the object that it asks about, is not as it must be; S3 has many codes for that."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # each has its own


class Busy(ServiceError):
    """There are as many expressions under way as there may be; clients try again by themselves."""

    status = 503


class Select:
    """Answers expressions by DuckDB, in a process of its own for each."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running: list[Process] = []

    async def select_object_content(self, ctx: Context, request: api.SelectObjectContentRequest) -> Document:
        """The records that an expression selects, as a stream of events."""
        if find_spec("duckdb") is None:
            raise NotSupported("SelectObjectContent needs DuckDB here: install clary[select].")
        task = _task(request)
        self._running = [process for process in self._running if process.returncode is None]
        if len(self._running) >= MAX_PROCESSES:
            raise Busy("The service is unavailable. Try again later.")
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], None, content=True)
        refuse_archived(ctx, version)
        key = encryption.unlocked(version.meta, request)
        file = TemporaryFile()  # noqa: SIM115  # lives as long as the answer
        try:
            body = chunks(self._platform.objects.read(version, key=key))
            processed = await _unpack(body, file, request["InputSerialization"].get("CompressionType") or "NONE")
            stats = {"BytesScanned": version.size, "BytesProcessed": processed}
            process = await _started(task, file)
            self._running.append(process)
            first = await _first(process)
        finally:
            file.close()
        progress = bool((request.get("RequestProgress") or {}).get("Enabled"))
        return {"Payload": _events(process, first, stats, progress=progress)}


async def _started(task: Document, file: BinaryIO) -> Process:
    descriptor = file.fileno()
    file.seek(0)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "clary.select_worker", str(descriptor)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(descriptor,),
        env={},
        cwd="/",
    )
    assert process.stdin is not None  # noqa: S101  # a pipe
    with suppress(ConnectionError):  # it says on its other end why it did not listen
        process.stdin.write(json.dumps(task).encode())
        process.stdin.write_eof()
    return process


async def _first(process: Process) -> bytes:
    """The first records; empty when there are none.

    Raises:
        ServiceError: the expression ended with an error before it answered anything.
    """
    try:
        return await _next(process)
    except BaseException:
        await _end(process)
        raise


async def _next(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101  # pipes
    assert process.stderr is not None  # noqa: S101
    try:
        async with asyncio.timeout(TIMEOUT_S):
            records = await process.stdout.read(_RECORDS_BYTES)
            if not records and await process.wait():
                raise _error(await process.stderr.read())
    except TimeoutError:
        raise InvalidRequest(f"The expression was not answered within {TIMEOUT_S:.0f} seconds.") from None
    return records


async def _events(
    process: Process, first: bytes, stats: Mapping[str, int], *, progress: bool
) -> AsyncIterator[Document]:
    returned, records = 0, first
    try:
        while records:
            returned += len(records)
            yield {"Records": {"Payload": records}}
            if progress:
                yield {"Progress": {"Details": {**stats, "BytesReturned": returned}}}
            records = await _next(process)
        yield {"Stats": {"Details": {**stats, "BytesReturned": returned}}}
        yield {"End": {}}
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _error(told: bytes) -> ServiceError:
    try:
        document = json.loads(told)
    except ValueError:
        return InvalidRequest("The expression took more memory or time than it may.")
    return SelectError(document["Code"], document["Message"])


def _task(request: Members) -> Document:
    """What the worker is told.

    Raises:
        ServiceError: the request does not say what it must, or asks for what is not supported.
    """
    if request.get("ExpressionType") != "SQL":
        raise SelectError(
            "InvalidExpressionType", "The ExpressionType is not valid. Only SQL expressions are supported."
        )
    expression = request.get("Expression") or ""
    if len(expression.encode()) > MAX_EXPRESSION_BYTES:
        raise SelectError("ExpressionTooLong", "The SQL expression is too long. The maximum byte-length is 256 KB.")
    if request.get("ScanRange"):
        raise NotSupported("Clary does not support ScanRange: an expression is about the whole object.")
    asked, wanted = request.get("InputSerialization") or {}, request.get("OutputSerialization") or {}
    source = _one(
        asked, _FORMATS, "InvalidDataSource", "Invalid data source type. Only CSV, JSON, and Parquet are supported."
    )
    if asked.get("CompressionType", "NONE") != "NONE" and source["Format"] == "Parquet":
        raise InvalidRequest("Parquet objects are compressed inside; CompressionType must be NONE.")
    if source["Format"] == "CSV" and source.get("RecordDelimiter") not in _LINE_ENDS:
        raise NotSupported("Clary supports line ends as RecordDelimiter of CSV only.")
    target = _one(wanted, _FORMATS[:2], "MalformedXML", "The output must be CSV or JSON.")
    return {"Expression": expression, "Input": source, "Output": target}


def _one(serialization: Members, formats: tuple[str, ...], code: str, message: str) -> Document:
    named = [name for name in formats if serialization.get(name) is not None]
    if len(named) != 1:
        raise SelectError(code, message)
    return {"Format": named[0], **serialization[named[0]]}


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


_DECOMPRESSORS: Mapping[str, Callable[[], _Decompressor]] = {
    "GZIP": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "BZIP2": bz2.BZ2Decompressor,
}


async def _unpack(body: AsyncIterator[bytes], file: BinaryIO, compression: str) -> int:
    """Writes the bytes of an object into a file, without their compression; tells how many these are."""
    if compression != "NONE" and compression not in _DECOMPRESSORS:
        raise SelectError("InvalidCompressionFormat", "The file is not in a supported compression format.")
    unpack = _DECOMPRESSORS[compression]().decompress if compression != "NONE" else bytes
    size = 0
    async for chunk in body:
        try:
            plain = await asyncio.to_thread(unpack, chunk)
        except (zlib.error, OSError, EOFError):
            message = "The object is not compressed as the request says."
            raise SelectError("InvalidCompressionFormat", message) from None
        size += len(plain)
        if size > MAX_INPUT_BYTES:
            raise InvalidRequest(f"The object holds more than {MAX_INPUT_BYTES} bytes.")
        await asyncio.to_thread(file.write, plain)
    file.flush()
    return size
