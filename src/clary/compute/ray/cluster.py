"""What the platform knows of a cluster, in words of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Unreachable(Exception):
    """Ray does not answer; the text tells why."""


class Dead(Exception):
    """A host has died; the text tells why as Ray does."""


class Size(NamedTuple):
    """What a node has, or a host needs."""

    cpus: float
    memory_bytes: int
    gpus: float


class Node(NamedTuple):
    """A living machine of the cluster."""

    address: str
    size: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a host needs of the cluster."""

    name: str
    secret: str
    size: Size
    group: str
    """The hosts that are to run on different nodes bear the same; empty for a host alone."""
    index: int
    count: int

    @property
    def bundle(self) -> dict[str, float]:
        """The same in Ray's words."""
        wanted = zip(("CPU", "memory", "GPU"), self.size, strict=True)
        return {name: value for name, value in wanted if value}
