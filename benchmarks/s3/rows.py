"""The figures of all servers as rows: ours as multiples of the others', with the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report import Row, at_least, at_most, fact, median
from benchmarks.s3.targets import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.s3.targets import Target

CALLS = ("PUT 1 KB", "GET 1 KB", "GET 64 KB range")
TRANSFERS = ("PUT 64 MB", "PUT 64 MB, signed body", "GET 64 MB")
LONG = ("multipart 512 MB up", "multipart 512 MB down")
TARGETS = {"PUT 1 KB": 2.0, "GET 1 KB": 1.0, "GET 64 KB range": 3.0, "PUT 64 MB": 1.5, "GET 64 MB": 2.0}
OURS = ("process", "gateways", "disk")
MEMORY_GROWTH_MB = 64.0


def table(targets: Sequence[Target], memory: dict[str, float]) -> list[Row]:
    """All rows."""
    found = {each.name: each for each in targets}
    rows = [row for name in CALLS for row in _call(name, found)]
    rows += [row for name in (*TRANSFERS, *LONG) for row in _transfer(name, found)]
    rows += _listing(found)
    rows += [fact(f"memory before, {each.name}", memory[each.name], "MB") for each in targets]
    for each in targets:
        grown = max(each.figures["memory"])
        if each.name in OURS:
            rows.append(at_most(f"memory growth, {each.name}", grown, "MB", MEMORY_GROWTH_MB))
        else:
            rows.append(fact(f"memory growth, {each.name}", grown, "MB"))
    return rows


def _call(name: str, found: dict[str, Target]) -> Iterator[Row]:
    for each in found.values():
        if name in each.figures:
            yield fact(f"{name}, c=16: {each.name} ({each.durability})", _middle(each, name), "req/s")
            yield fact(f"... CPU of a call, {each.name}", _middle(each, f"{name} CPU"), "µs")
            yield fact(f"... p50, {each.name}", _middle(each, f"{name} p50"), "ms")
            yield fact(f"... p99, {each.name}", _middle(each, f"{name} p99"), "ms")
    yield from _ratios(name, found)


def _transfer(name: str, found: dict[str, Target]) -> Iterator[Row]:
    for each in found.values():
        if name in each.figures:
            yield fact(f"{name}: {each.name} ({each.durability})", _middle(each, name), "MB/s")
            yield fact(f"... CPU of a MB, {each.name}", _middle(each, f"{name} CPU"), "ms")
    yield from _ratios(name, found)


def _ratios(name: str, found: dict[str, Target]) -> Iterator[Row]:
    """Ours as multiples of rclone's, of nginx's, and of the best peer's."""
    rclone, nginx = found.get("rclone"), found.get("nginx")
    ours = [found[each] for each in OURS if each in found]
    for each in ours:
        if rclone:
            ratio = _ratio(each, rclone, name)
            label = f"{name}: {each.name} as a multiple of rclone's"
            wanted = TARGETS.get(name) if each.name != "disk" else None
            yield at_least(label, ratio, "x", wanted) if wanted else fact(label, ratio, "x")
        if nginx and name in nginx.figures:
            ratio = _ratio(each, nginx, name)
            label = f"{name}: {each.name} as a multiple of nginx's"
            wanted = 0.7 if name == "GET 64 MB" and each.name != "disk" else None
            yield at_least(label, ratio, "x", wanted) if wanted else fact(label, ratio, "x")
        if name in LONG and each.name != "disk":
            yield from _best(name, each, [peer for peer in found.values() if peer.name not in OURS])
    again = found.get("rclone again")
    if rclone and again:
        yield fact(f"{name}: A/A control, rclone over itself", _ratio(again, rclone, name), "x")
        if f"{name} CPU" in rclone.figures:
            control = _ratio(again, rclone, f"{name} CPU")
            yield fact(f"{name}: A/A control, CPU of rclone over itself", control, "x")
    if name == "PUT 1 KB" and "disk" in found:
        disk = found["disk"]
        yield fact("flushes that the disk makes in a second, one after the other", _middle(disk, "flushes"), "/s")
        pairs = zip(disk.figures[name], disk.figures["flushes"], strict=True)
        yield fact("PUT 1 KB: disk as a multiple of those", median([put / flush for put, flush in pairs]), "x")


def _best(name: str, ours: Target, peers: Sequence[Target]) -> Iterator[Row]:
    """Ours beside the best of those who keep files as well, and of those who keep everything in memory."""
    for in_memory in (False, True):
        known = [peer for peer in peers if name in peer.figures and (peer.durability == IN_MEMORY) is in_memory]
        if not known:
            continue
        best = max(known, key=lambda peer: _middle(peer, name))
        ratio = _middle(ours, name) / _middle(best, name)
        label = f"{name}: {ours.name} as a multiple of {best.name}'s"
        if in_memory:
            yield fact(f"{label}, the best of those in memory", ratio, "x")
        else:
            yield at_least(f"{label}, the best of those with files", ratio, "x", 1)


def _listing(found: dict[str, Target]) -> Iterator[Row]:
    name = "list of 10,000 keys"
    for each in found.values():
        if name in each.figures:
            yield fact(f"{name}: {each.name}", _middle(each, name), "ms")
            yield fact(f"... CPU, {each.name}", _middle(each, f"{name} CPU"), "ms")
    if "rclone" in found:
        for each in (found[one] for one in OURS if one in found):
            share = _ratio(each, found["rclone"], f"{name} CPU")
            yield at_most(f"{name}: CPU of {each.name} as a share of rclone's", share, "x", 1 / 3)


def _middle(target: Target, figure: str) -> float:
    return median(target.figures[figure])


def _ratio(one: Target, other: Target, figure: str) -> float:
    return median([a / b for a, b in zip(one.figures[figure], other.figures[figure], strict=True)])
