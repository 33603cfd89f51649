"""Small and large objects beside moto's server, with Clary's two classes of durability.

`disk`, the default: an acknowledged object has been flushed to the disk. `process`: it survives the end of the
process, not of the machine. moto keeps objects in memory, large ones in temporary files, and forgets them at its end.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import boto3
from botocore.config import Config

from benchmarks.client import load
from benchmarks.processes import cpu_seconds, memory_mb
from benchmarks.report import Row, at_least, at_most, fact, median
from benchmarks.servers import clary, free_port, peer
from benchmarks.signed import REGION, Signer
from benchmarks.transfer import receive, send

TITLE = "S3"
ROUNDS = 6
CONNECTIONS = 16
WINDOW_S = 0.8
KEYS = 400
SMALL = os.urandom(1000)
LARGE = os.urandom(1 << 16) * 1024
BUCKET = "bench"


@dataclass
class Target:
    """A server with a bucket and a key that may use it; what was measured of it by name."""

    name: str
    signer: Signer
    pid: int
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def median(self, figure: str) -> float:
        return median(self.figures[figure])

    def prepare(self) -> None:
        """Signs everything that will be sent, and stores the objects that are read."""
        sign = self.signer.request
        paths = [f"/{BUCKET}/small/{number}" for number in range(KEYS)]
        self.puts = [sign("s3", "PUT", path, body=SMALL) for path in paths]
        self.gets = [sign("s3", "GET", path) for path in paths]
        self.large_put = sign("s3", "PUT", f"/{BUCKET}/large", body=LARGE)
        self.large_get = sign("s3", "GET", f"/{BUCKET}/large")
        for request in (sign("s3", "PUT", f"/{BUCKET}"), *self.puts):
            load(self.signer.address, [request])
        send(self.signer.address, self.large_put)

    def small(self) -> None:
        for name, requests in (("PUT 1 KB", self.puts), ("GET 1 KB", self.gets)):
            before = cpu_seconds(self.pid)
            run = load(self.signer.address, requests, CONNECTIONS, WINDOW_S)
            self.note(name, run.rate)
            self.note(f"{name} CPU", (cpu_seconds(self.pid) - before) / len(run.latencies) * 1e6)

    def large(self) -> None:
        megabytes = len(LARGE) / 1e6
        self.note("PUT 64 MB", megabytes / send(self.signer.address, self.large_put))
        seconds, size = receive(self.signer.address, self.large_get)
        if size != len(LARGE):
            raise RuntimeError(f"{self.name} answered {size} bytes")
        self.note("GET 64 MB", megabytes / seconds)

    def boto3(self) -> None:
        """The same through the client that people use, which signs, hashes and copies on the same processors."""
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{self.signer.address[0]}:{self.signer.address[1]}",
            region_name=REGION,
            aws_access_key_id=self.signer.access_key,
            aws_secret_access_key=self.signer.secret,
            config=Config(s3={"addressing_style": "path"}),
        )
        started = time.perf_counter()
        client.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
        stored = time.perf_counter()
        client.get_object(Bucket=BUCKET, Key="large")["Body"].read()
        self.note("boto3 PUT 64 MB", len(LARGE) / 1e6 / (stored - started))
        self.note("boto3 GET 64 MB", len(LARGE) / 1e6 / (time.perf_counter() - stored))


def measure() -> list[Row]:
    """Interleaved rounds against moto and against Clary in both classes of durability."""
    with ExitStack() as stack:
        targets = [_moto(stack), _clary(stack, "disk"), _clary(stack, "process")]
        for target in targets:
            target.prepare()
            target.large()
        before = [memory_mb(target.pid) for target in targets]
        for turn in range(ROUNDS):
            for target in targets[turn % 3 :] + targets[: turn % 3]:
                target.small()
                target.large()
        for _ in range(3):
            for target in targets:
                target.boto3()
        growth = [memory_mb(target.pid) - earlier for target, earlier in zip(targets, before, strict=True)]
    return [*_small(*targets), *_large(*targets), *_memory(before, growth)]


def _small(moto: Target, disk: Target, process: Target) -> list[Row]:
    rows = []
    for name in ("GET 1 KB", "PUT 1 KB"):
        rows += [
            fact(f"{name}, c={CONNECTIONS}: moto", moto.median(name), "req/s"),
            fact(f"{name}, c={CONNECTIONS}: Clary, flushed to disk", disk.median(name), "req/s"),
            at_least(f"{name}: as a multiple of moto's", _ratio(disk, moto, name), "x", 5),
            fact(f"{name}: Clary, durability `process`, as a multiple of moto's", _ratio(process, moto, name), "x"),
            fact(f"{name}: CPU as a share of moto's", _ratio(disk, moto, f"{name} CPU"), "x"),
            fact(f"{name}: CPU of a call, Clary", disk.median(f"{name} CPU"), "µs"),
        ]
    return rows


def _large(moto: Target, disk: Target, process: Target) -> list[Row]:
    rows = []
    for name in ("GET 64 MB", "PUT 64 MB"):
        rows += [
            fact(f"{name}: moto", moto.median(name), "MB/s"),
            fact(f"{name}: Clary, flushed to disk", disk.median(name), "MB/s"),
            at_least(f"{name}: as a multiple of moto's", _ratio(disk, moto, name), "x", 1),
            fact(f"{name}: Clary, durability `process`, as a multiple of moto's", _ratio(process, moto, name), "x"),
        ]
    for name in ("boto3 GET 64 MB", "boto3 PUT 64 MB"):
        rows.append(fact(f"{name}: as a multiple of moto's", _ratio(disk, moto, name), "x"))
    return rows


def _memory(before: list[float], growth: list[float]) -> list[Row]:
    transfers = f"{ROUNDS} PUTs and GETs of 64 MB"
    return [
        at_most(f"memory growth of Clary over {transfers}", growth[1], "MB", 32),
        fact("... from", before[1], "MB"),
        fact(f"memory growth of moto over {transfers}", growth[0], "MB"),
        fact("... from", before[0], "MB"),
    ]


def _ratio(one: Target, other: Target, figure: str) -> float:
    return median([a / b for a, b in zip(one.figures[figure], other.figures[figure], strict=True)])


def _moto(stack: ExitStack) -> Target:
    port = free_port()
    address, pid = stack.enter_context(peer("moto", ["-m", "moto.server", "-p", str(port)], port))
    return Target("moto", Signer(address, "key", "secret"), pid)


def _clary(stack: ExitStack, durability: str) -> Target:
    server = stack.enter_context(clary(CLARY_WARM_WORKERS="0", CLARY_DURABILITY=durability))
    assert server.process is not None
    return Target(durability, Signer(("127.0.0.1", server.port), *server.keys), server.process.pid)
