"""Many jobs at once, big inputs, several hosts: what the job engine costs.

The scripts tell times and rates by their logs; all clocks are this machine's.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

from benchmarks.job_start import DEFAULTS, SETTLE_S, Jobs
from benchmarks.processes import memory_mb
from benchmarks.report import Row, at_least, at_most, fact, median
from benchmarks.servers import clary

if TYPE_CHECKING:
    from tests.server import ClaryServer

TITLE = "Job engine"
MANY = 100
ROUNDS = 5
HOSTS = 4
PARTS, PART_BYTES = 32, 64 << 20
READ = b"""
import time
print(f"begun={time.time()};", flush=True)
started, size, block = time.perf_counter(), 0, bytearray(4 << 20)
with open("/opt/ml/input/data/train/big.bin", "rb", buffering=0) as file:
    while count := file.readinto(block):
        size += count
print(f"rate={size / (time.perf_counter() - started) / 1e9};", flush=True)
"""


class Blank(io.RawIOBase):
    """A file of so many zero bytes."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        """As every source of an upload is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next zeros."""
        count = min(len(buffer), self._left)
        buffer[:count] = bytes(count)
        self._left -= count
        return count


def measure() -> list[Row]:
    """On one server, whose warm interpreter has its libraries."""
    with clary() as server:
        jobs = Jobs(server, {"read": READ})
        time.sleep(SETTLE_S)
        return [*_many(server, jobs), *_big(server, jobs), *_hosts(jobs)]


def _many(server: ClaryServer, jobs: Jobs) -> list[Row]:
    assert server.process is not None
    _at_once(jobs)
    before = memory_mb(server.process.pid)
    seconds = _at_once(jobs)
    growth = memory_mb(server.process.pid) - before
    return [
        at_most(f"{MANY} jobs created at once, each with the imports, until all are Completed", seconds, "s", 40),
        at_most(f"... memory that the server has more after them than after the {MANY} before", growth, "MB", 8),
    ]


def _at_once(jobs: Jobs) -> float:
    started = time.monotonic()
    names = [jobs.create("science") for _ in range(MANY)]
    for name in names:
        jobs.wait(name, 0.1)
    return time.monotonic() - started


def _big(server: ClaryServer, jobs: Jobs) -> list[Row]:
    config = TransferConfig(multipart_chunksize=PART_BYTES)
    server.client("s3").upload_fileobj(Blank(PARTS * PART_BYTES), "jobs", "big/big.bin", Config=config)
    rows = []
    for mode in ("File", "FastFile"):
        without = median([jobs.run("standard")[0] for _ in range(ROUNDS)])
        runs = [_read(jobs, mode) for _ in range(ROUNDS)]
        added = median([first for first, _ in runs]) - without
        rows.append(
            at_most(f"channel of 2 GB that came in {PARTS} parts, {mode}: added to the first line", added, "s", 0.1)
        )
        rows.append(
            at_least("... reading it in order, from the page cache", median([rate for _, rate in runs]), "GB/s", 1)
        )
    return rows


def _read(jobs: Jobs, mode: str) -> tuple[float, float]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/big/"}}
    started = time.time()
    name = jobs.create("read", InputDataConfig=[{"ChannelName": "train", "DataSource": source, "InputMode": mode}])
    jobs.wait(name)
    return jobs.told(name, "begun") - started, jobs.told(name, "rate")


def _hosts(jobs: Jobs) -> list[Row]:
    cluster = {**DEFAULTS["ResourceConfig"], "InstanceCount": HOSTS}
    times = []
    for _ in range(ROUNDS):
        started = time.time()
        jobs.wait(jobs.create("science", ResourceConfig=cluster))
        times.append(time.time() - started)
    return [fact(f"job of {HOSTS} hosts, until Completed", median(times), "s")]
