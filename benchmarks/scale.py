"""Objects of many gigabytes: the server's memory must not grow with them, plain or encrypted.

Ten gigabytes lie on the disk for a while; the page of a bucket of a million objects is measured with the rest of S3.
"""

from __future__ import annotations

import http.client
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.processes import memory_mb
from benchmarks.report import Row, at_most, fact
from benchmarks.servers import clary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ClaryServer

TITLE = "Objects of many gigabytes"
BUCKET = "scale"
GB = 1 << 30
MB = 1 << 20
PUT_BYTES = 5 * GB
"""The most that one request may bring."""

PARTS, PART_BYTES = 160, 64 * MB
GROWTH_MB = 150.0
EVERY_S = 0.05


def measure() -> list[Row]:
    """One stream up and down, and one upload in parts, for each way to keep the bytes."""
    return [row for encrypt in ("no", "yes") for row in _rows(encrypt)]


@dataclass
class Growth:
    """How much the memory of a server grew at most while a block ran, in MB of a million bytes."""

    peak_mb: float = 0.0


class Source:
    """A body of a given length that takes no memory: one block over and over."""

    _BLOCK = os.urandom(MB)

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int) -> bytes:
        """The next bytes."""
        taken = self._BLOCK[: min(size, self._left)]
        self._left -= len(taken)
        return taken


def _rows(encrypt: str) -> Iterator[Row]:
    kept = "encrypted" if encrypt == "yes" else "plain"
    with clary(CLARY_WARM_WORKERS="0", CLARY_ENCRYPT=encrypt) as server, _growing(server) as growth:
        s3 = server.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        whole = {"Bucket": BUCKET, "Key": "whole"}
        up = _seconds(_put, s3.generate_presigned_url("put_object", whole), PUT_BYTES)
        down = _seconds(_get, s3.generate_presigned_url("get_object", whole), PUT_BYTES)
        s3.delete_object(**whole)
        parts = _seconds(_upload, s3)
        joined = _seconds(_get, s3.generate_presigned_url("get_object", {**whole, "Key": "parts"}), PARTS * PART_BYTES)
    yield fact(f"PUT of 5 GB, {kept}", PUT_BYTES / up / MB, "MB/s")
    yield fact(f"GET of 5 GB, {kept}", PUT_BYTES / down / MB, "MB/s")
    yield fact(f"10 GB in {PARTS} parts, {kept}", PARTS * PART_BYTES / parts / MB, "MB/s")
    yield fact(f"GET of 10 GB in parts, {kept}", PARTS * PART_BYTES / joined / MB, "MB/s")
    yield at_most(f"memory grew, {kept}", growth.peak_mb, "MB", GROWTH_MB)


def _seconds(action: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - started


def _put(url: str, size: int) -> str:
    answer = _exchange("PUT", url, Source(size), {"Content-Length": str(size)})
    answer.read()
    return answer.headers["ETag"]


def _get(url: str, size: int) -> None:
    answer = _exchange("GET", url, None, {})
    got, block = 0, bytearray(MB)
    while count := answer.readinto(block):
        got += count
    if got != size:
        raise RuntimeError(f"{got} bytes came back of {size}")


def _upload(s3: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "parts"}
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number in range(1, PARTS + 1):
        url = s3.generate_presigned_url("upload_part", {**where, "PartNumber": number})
        parts.append({"PartNumber": number, "ETag": _put(url, PART_BYTES)})
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


def _exchange(method: str, url: str, body: Any, headers: dict[str, str]) -> http.client.HTTPResponse:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=600, blocksize=MB)
    connection.request(method, f"{address.path}?{address.query}", body, headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{method}: {answer.status} {answer.read().decode()}")
    return answer


@contextmanager
def _growing(server: ClaryServer) -> Iterator[Growth]:
    assert server.process is not None
    pid, growth, over = server.process.pid, Growth(), threading.Event()
    before = memory_mb(pid)

    def watch() -> None:
        while not over.wait(EVERY_S):
            growth.peak_mb = max(growth.peak_mb, memory_mb(pid) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        over.set()
        watcher.join()
