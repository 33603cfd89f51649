"""What is measured of our server alone: a slow disk, and a bucket of a million objects."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks import transfer
from benchmarks.report import Row, at_least, at_most, fact, median
from benchmarks.s3.measures import CONNECTIONS, PAGE, WINDOW_S
from benchmarks.s3.targets import BUCKET, KEYS, SMALL, user_of
from benchmarks.servers import ROOT, clary
from benchmarks.signed import Signer
from benchmarks.sockets import load

if TYPE_CHECKING:
    from benchmarks.client import Run

MILLION = 1_000_000
ROUNDS = 5
FLUSH_S = 0.5
SLOW_FLUSH_MS = 4
"""Between a solid-state disk for servers (below 0.1 ms) and one that turns (8 ms and more)."""
_SLOW_DISK = f"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slowly(const char *name, int descriptor) {{
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    usleep({SLOW_FLUSH_MS * 1000});
    return real(descriptor);
}}
int fdatasync(int descriptor) {{ return slowly("fdatasync", descriptor); }}
int fsync(int descriptor) {{ return slowly("fsync", descriptor); }}
"""


def flushes() -> float:
    """How many writes of a page and a flush the disk does in a second, one after the other."""
    with TemporaryDirectory(prefix="clary-bench-") as folder, (Path(folder) / "file").open("wb", buffering=0) as file:
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < FLUSH_S:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - started)


def slow_disk() -> list[Row]:
    """PUTs of 1 KB with full durability on a disk whose flushes take 4 ms more than this one's."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="clary-bench-")))
        library = folder / "slow.so"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
        try:
            subprocess.run(command, input=_SLOW_DISK.encode(), check=True)
        except (OSError, subprocess.CalledProcessError):
            return []
        server = stack.enter_context(clary(CLARY_WARM_WORKERS="0", LD_PRELOAD=str(library)))
        signer = user_of(server)
        allowed = median([_flushes_with(library) for _ in range(ROUNDS)])
        puts = [signer.request("s3", "PUT", f"/{BUCKET}/small/{number}", body=SMALL) for number in range(KEYS)]
        one = _median_rate(signer, puts, 1)
        many = _median_rate(signer, puts, CONNECTIONS)
        more = _median_rate(signer, puts, 4 * CONNECTIONS)
    return [
        fact(f"flushes of a disk that takes {SLOW_FLUSH_MS} ms more for each, one after the other", allowed, "/s"),
        fact("PUT 1 KB on it, flushed, c=1", one, "req/s"),
        fact(f"PUT 1 KB on it, flushed, c={CONNECTIONS}", many, "req/s"),
        fact(f"PUT 1 KB on it, flushed, c={4 * CONNECTIONS}", more, "req/s"),
        at_least(f"PUT 1 KB on it, c={CONNECTIONS}: as a multiple of one flush for each", many / allowed, "x", 8),
        fact(f"PUT 1 KB on it, c={4 * CONNECTIONS}: as a multiple of one flush for each", more / allowed, "x"),
    ]


def million() -> list[Row]:
    """Pages of 1,000 keys from a bucket of a million; all but one of its rows are copied straight in the store."""
    with TemporaryDirectory(prefix="clary-bench-") as folder:
        home = Path(folder) / "home"
        with clary(home, CLARY_WARM_WORKERS="0") as server:
            signer = user_of(server)
            put = signer.request("s3", "PUT", f"/{BUCKET}/{_key(0)}", body=b"x")
            transfer.exchange(signer.address, put)
        _multiply(home / "clary.db")
        with clary(home, CLARY_WARM_WORKERS="0") as server:
            signer = Signer(("127.0.0.1", server.port), signer.access_key, signer.secret)
            latencies = []
            for number in range(0, MILLION - PAGE, MILLION // 50):
                query = f"?list-type=2&start-after={quote(_key(number), safe='')}"
                request = signer.request("s3", "GET", f"/{BUCKET}{query}")
                seconds, size = transfer.receive(signer.address, request)
                if size < PAGE * 100:
                    raise RuntimeError(f"a page of {size} bytes")
                latencies.append(seconds * 1e3)
    return [at_most(f"a page of {PAGE:,} keys of {MILLION:,}, c=1, p50", median(latencies), "ms", 15)]


def _flushes_with(library: Path) -> float:
    command = [sys.executable, "-c", "from benchmarks.s3.extras import flushes; print(flushes())"]
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _median_rate(signer: Signer, requests: list[bytes], connections: int) -> float:
    runs: list[Run] = [load(signer.address, requests, connections, WINDOW_S) for _ in range(ROUNDS)]
    return median([run.rate for run in runs])


def _key(number: int) -> str:
    return f"folder-{number // 1000:04}/object-{number:07}"


def _multiply(path: Path) -> None:
    """Makes a million objects of the one that is there."""
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(objects)")]
        key = "printf('folder-%04d/object-%07d', n / 1000, n)"
        values = [{"key": key, "sequence": "sequence + n"}.get(column, column) for column in columns]
        connection.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MILLION - 1}) "
            f"INSERT INTO objects ({', '.join(columns)}) SELECT {', '.join(values)} FROM numbers, objects "
            f"WHERE objects.key = '{_key(0)}'"
        )
        connection.execute(
            "INSERT INTO contents (id, bytes) SELECT sequence, x'78' FROM objects "
            "WHERE sequence NOT IN (SELECT id FROM contents)"
        )
        connection.commit()
