"""What is measured of each server; every measure notes its figures with the target."""

from __future__ import annotations

import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks import transfer
from benchmarks.s3.targets import BUCKET, KEYS, LARGE, SMALL
from benchmarks.sockets import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.s3.targets import Target

CONNECTIONS = 16
WINDOW_S = 0.8
RANGE_BYTES = 64 << 10
PART_BYTES = 8 << 20
PARTS = 64
PART_CONNECTIONS = 4
LISTED = 10_000
PAGE = 1000
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_UPLOAD = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_ETAG = re.compile(rb"etag: *(\S+)", re.IGNORECASE)


class Small:
    """Objects of 1 KB, 16 connections."""

    def __init__(self, target: Target) -> None:
        self._target = target
        paths = [f"/{BUCKET}/small/{number}" for number in range(KEYS)]
        sign = target.signer.request
        self._puts = [sign("s3", "PUT", path, body=SMALL) for path in paths] if target.writable else []
        self._gets = [sign("s3", "GET", path) for path in paths]
        if self._puts:
            load(target.signer.address, self._puts, 8, 0.0, KEYS)

    def measure(self) -> None:
        for name, requests in (("PUT 1 KB", self._puts), ("GET 1 KB", self._gets)):
            if requests:
                window(self._target, name, requests)


class Large:
    """One object of 64 MB over a fresh connection, whole and in ranges; its body signed and not signed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        path = f"/{BUCKET}/large"
        sign = target.signer
        self._puts = {}
        if target.writable:
            self._puts["PUT 64 MB"] = sign.s3("PUT", path, LARGE)
            self._puts["PUT 64 MB, signed body"] = sign.request("s3", "PUT", path, body=LARGE)
            transfer.send(sign.address, self._puts["PUT 64 MB"])
        self._get = sign.s3("GET", path)
        starts = random.Random(1).sample(range(len(LARGE) - RANGE_BYTES), 200)
        self._ranges = [
            sign.s3("GET", path, headers={"Range": f"bytes={start}-{start + RANGE_BYTES - 1}"}) for start in starts
        ]

    def measure(self) -> None:
        for name, request in self._puts.items():
            timed(self._target, name, len(LARGE), partial(transfer.send, self._address, request))
        timed(self._target, "GET 64 MB", len(LARGE), self._read)
        window(self._target, "GET 64 KB range", self._ranges)

    @property
    def _address(self) -> tuple[str, int]:
        return self._target.signer.address

    def _read(self) -> None:
        size = transfer.receive(self._address, self._get)[1]
        if size != len(LARGE):
            raise RuntimeError(f"{self._target.name} answered {size} bytes")


class Multipart:
    """512 MB in parts of 8 MB up, in ranges of 8 MB down, over four connections."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._part = LARGE[:PART_BYTES]
        self._path = f"/{BUCKET}/multipart"

    def measure(self) -> None:
        timed(self._target, "multipart 512 MB up", PARTS * PART_BYTES, self._up)
        timed(self._target, "multipart 512 MB down", PARTS * PART_BYTES, self._down)

    def _up(self) -> None:
        sign = self._target.signer
        _, begun = transfer.exchange(sign.address, sign.s3("POST", f"{self._path}?uploads="))
        match = _UPLOAD.search(begun)
        if match is None:
            raise RuntimeError(f"{self._target.name} began no upload: {begun!r}")
        upload = quote(match[1].decode(), safe="")

        def send(number: int) -> str:
            path = f"{self._path}?partNumber={number}&uploadId={upload}"
            head, _ = transfer.exchange(sign.address, sign.s3("PUT", path, self._part))
            etag = _ETAG.search(head)
            return etag[1].decode() if etag else ""

        with ThreadPoolExecutor(PART_CONNECTIONS) as pool:
            etags = list(pool.map(send, range(1, PARTS + 1)))
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        transfer.exchange(sign.address, sign.request("s3", "POST", f"{self._path}?uploadId={upload}", body=body))

    def _down(self) -> None:
        sign = self._target.signer
        starts = range(0, PARTS * PART_BYTES, PART_BYTES)
        requests = [
            sign.s3("GET", self._path, headers={"Range": f"bytes={start}-{start + PART_BYTES - 1}"}) for start in starts
        ]
        with ThreadPoolExecutor(PART_CONNECTIONS) as pool:
            sizes = list(pool.map(lambda request: transfer.receive(sign.address, request)[1], requests))
        if sizes != [PART_BYTES] * PARTS:
            raise RuntimeError(f"{self._target.name} answered {sum(sizes)} bytes")


class Listing:
    """10,000 keys, page after page."""

    def __init__(self, target: Target) -> None:
        self._target = target
        paths = (f"/{BUCKET}/listed/{number:05}" for number in range(LISTED))
        requests = [target.signer.request("s3", "PUT", path, body=b"x") for path in paths]
        load(target.signer.address, requests, 8, 0.0, LISTED)

    def measure(self) -> None:
        before, started = self._target.cpu_s(), time.perf_counter()
        turns = 0
        while time.perf_counter() - started < WINDOW_S / 2:
            self._list()
            turns += 1
        self._target.note("list of 10,000 keys", (time.perf_counter() - started) / turns * 1e3)
        self._target.note("list of 10,000 keys CPU", (self._target.cpu_s() - before) / turns * 1e3)

    def _list(self) -> None:
        sign = self._target.signer
        keys, token = 0, ""
        while True:
            query = f"?continuation-token={quote(token, safe='')}&list-type=2" if token else "?list-type=2"
            query += f"&max-keys={PAGE}&prefix=listed%2F"
            _, body = transfer.exchange(sign.address, sign.s3("GET", f"/{BUCKET}{query}"))
            keys += body.count(b"<Contents>")
            match = _TOKEN.search(body)
            if match is None:
                break
            token = match[1].decode()
        # rclone refuses some of many writes at the same time to one folder.
        if not LISTED * 0.99 <= keys <= LISTED:
            raise RuntimeError(f"{self._target.name} listed {keys} keys")


def window(target: Target, name: str, requests: list[bytes]) -> None:
    """Rate, processor time of a call and latencies under the load of 16 connections."""
    before = target.cpu_s()
    run = load(target.signer.address, requests, CONNECTIONS, WINDOW_S)
    target.note(name, run.rate)
    target.note(f"{name} CPU", (target.cpu_s() - before) / len(run.latencies) * 1e6)
    target.note(f"{name} p50", run.p50)
    target.note(f"{name} p99", run.p99)


def timed(target: Target, name: str, size_bytes: int, action: Callable[[], object]) -> None:
    """MB/s of a transfer, and the processor time of a MB."""
    before, started = target.cpu_s(), time.perf_counter()
    action()
    target.note(name, size_bytes / 1e6 / (time.perf_counter() - started))
    target.note(f"{name} CPU", (target.cpu_s() - before) / size_bytes * 1e9)
