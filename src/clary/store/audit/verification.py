"""Whether the log is as it was written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from clary.store.audit import segments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Known = tuple[int, bytes]
"""A position that was read before, and the hash that stood there."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a segment is not as it was written."""

    segment: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in a log."""

    segments: int
    events: int
    lost: int
    """Calls that could not be written because the disk was full; the log tells their number itself."""
    damages: tuple[Damage, ...]


def verify(folder: Path, known: Mapping[str, Known]) -> Verified:
    """Reads a whole log; `known` tells what the index has read of it, so that a removed end is missed."""
    names = segments.names(folder)
    there = {name.removesuffix(".gz") for name in names}
    damages = [Damage(name, 0, "the segment is gone") for name in sorted(known) if name not in there]
    events = lost = 0
    for name in names:
        found = _verify(folder / name, known.get(name.removesuffix(".gz")))
        events += found.events
        lost += found.lost
        damages += found.damages
    return Verified(len(names), events, lost, tuple(damages))


def _verify(path: Path, known: Known | None) -> Verified:
    chain, position, events, lost = segments.first_chain(path.name), 0, 0, 0
    damage = None
    for line in segments.lines(path):
        chain = hashlib.sha256(chain + line.body).hexdigest().encode()
        if chain != line.chain:
            damage = Damage(path.name, position, "the line was changed, or one before it was removed")
            break
        if line.body.startswith(segments.LOST):
            lost += int(orjson.loads(line.body)["lost"])
        else:
            events += 1
        position = line.end
        if known and known[0] == position and known[1] != chain:
            damage = Damage(path.name, position, "the segment was written anew")
            break
    if damage is None and known and known[0] > position:
        damage = Damage(path.name, position, f"{known[0] - position} bytes at the end are gone")
    return Verified(1, events, lost, (damage,) if damage else ())
