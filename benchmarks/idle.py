"""What the platform takes before anybody uses it: time to the first answer, and memory."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.client import load
from benchmarks.processes import cpu_seconds, descendants, memory_mb, own_memory_mb, tree_memory_mb
from benchmarks.report import Row, at_most, fact, median
from benchmarks.servers import clary, free_port, peer
from benchmarks.signed import Signer

if TYPE_CHECKING:
    from tests.server import ClaryServer

TITLE = "Start and idle memory"
ROUNDS = 7
SETTLE_S = 20.0
"""Until the warm interpreter has imported its libraries."""
IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"


def measure() -> list[Row]:
    """Starts with an empty and with a used home, moto's beside them, then the memory of a server that only waits."""
    empty, used, moto, cpu = [], [], [], []
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        _start(home)
        for _ in range(ROUNDS):
            empty.append(_start(None)[0])
            seconds, processor = _start(home)
            used.append(seconds)
            cpu.append(processor)
            moto.append(_start_moto())
    return [
        at_most(f"start to first signed answer, new home, median of {ROUNDS}", median(empty), "s", 1.5),
        at_most(f"start to first signed answer, used home, median of {ROUNDS}", median(used), "s", 1.5),
        fact("... processor time of it, by the platform's process", median(cpu), "s"),
        fact("moto server: start to first answer", median(moto), "s"),
        *_memory(),
    ]


def _start(home: Path | None) -> tuple[float, float]:
    started = time.perf_counter()
    with clary(home) as server:
        _call(server)
        assert server.process is not None
        return time.perf_counter() - started, cpu_seconds(server.process.pid, descending=False)


def _start_moto() -> float:
    port = free_port()
    started = time.perf_counter()
    with peer("moto", ["-m", "moto.server", "-p", str(port)], port) as (address, _):
        load(address, [Signer(address, "a", "b").form("sts", IDENTITY)])
        return time.perf_counter() - started


def _memory() -> list[Row]:
    with clary() as server:
        _call(server)
        time.sleep(SETTLE_S)
        assert server.process is not None
        pid = server.process.pid
        warm = descendants(pid)
        return [
            at_most("memory of the platform's process (resident)", memory_mb(pid), "MB", 200),
            fact("... of it, its own (unshared)", own_memory_mb(pid), "MB"),
            fact("memory of the warm interpreter (resident)", sum(memory_mb(each.pid) for each in warm), "MB"),
            fact("both together, shared pages counted once", tree_memory_mb(pid), "MB"),
        ]


def _call(server: ClaryServer) -> None:
    signer = Signer(("127.0.0.1", server.port), *server.keys)
    load(signer.address, [signer.form("sts", IDENTITY)])
