"""S3 beside other servers that speak it, and beside nginx, which shows what the machine allows.

Signatures and policies are checked on our side: a user whose rights come from its own policy and the bucket's.
Durability is told for each server; `process` is compared with the peers, which flush nothing either, `disk` stands
beside. Everything runs interleaved, so that ratios hold although the machine is never quiet.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.s3 import extras, rows
from benchmarks.s3.measures import Large, Listing, Multipart, Small
from benchmarks.s3.targets import Target, target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Row

TITLE = "S3"
OURS = ("process", "disk", "gateways")
EVERY_ROUND = ("rclone", "rclone again", *OURS, "nginx")
SLOW = ("moto", "ministack", "localstack")
"""Measured in every third round only: their figures are far away."""
ROUNDS = 5
LONG_ROUNDS = 2


def measure(names: Sequence[str] = (*EVERY_ROUND, *SLOW)) -> list[Row]:
    """Interleaved rounds over all servers that start."""
    with ExitStack() as stack:
        targets = [found for name in names if (found := _started(stack, name))]
        memory = {each.name: each.memory_mb() for each in targets}
        short = [(each, Small(each), Large(each)) for each in targets]
        for turn in range(ROUNDS):
            for each, small, large in short[turn % len(short) :] + short[: turn % len(short)]:
                if each.name not in SLOW or turn % 3 == 0:
                    small.measure()
                    large.measure()
                    each.note("memory", each.memory_mb() - memory[each.name])
                    if each.name == "disk":
                        each.note("flushes", extras.flushes())
        long = [(each, Multipart(each), Listing(each)) for each in targets if each.writable]
        for turn in range(LONG_ROUNDS):
            for each, multipart, listing in long[turn % len(long) :] + long[: turn % len(long)]:
                if each.name not in SLOW or turn == 0:
                    multipart.measure()
                    listing.measure()
                    each.note("memory", each.memory_mb() - memory[each.name])
        table = rows.table(targets, memory)
    return [*table, *extras.slow_disk(), *extras.million()] if "process" in names else table


def _started(stack: ExitStack, name: str) -> Target | None:
    try:
        return stack.enter_context(target(name))
    except RuntimeError as error:
        print(f"{name} is left out: {str(error)[-500:]}", file=sys.stderr)
        return None
