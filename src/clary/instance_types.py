"""The vCPUs and memory of instance types, computed by the rules that AWS's families follow.

Source: AWS's instance type pages. Within a family memory grows with the vCPUs, and `Nxlarge` has 4 N vCPUs; the
exceptions (burstable types, accelerated types, early generations) are listed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class InstanceType:
    """The size of an instance; `name` is the EC2 name, without the `ml.` of SageMaker."""

    name: str
    vcpus: int
    memory_bytes: int
    gpus: int = 0


def lookup(name: str) -> InstanceType | None:
    """The facts of an instance type (`m5.large`, `ml.m5.large`), or None when they are not known."""
    name = name.removeprefix("ml.").removeprefix("system.")
    if name in _EXCEPTIONS:
        vcpus, gib, gpus = _EXCEPTIONS[name]
        return InstanceType(name, vcpus, int(gib * GIB), gpus)
    family, _, size = name.partition(".")
    match = _FAMILY.fullmatch(family)
    vcpus = _vcpus(size)
    if not match or not vcpus:
        return None
    return InstanceType(name, vcpus, int(vcpus * _GIB_PER_VCPU[match["letter"]] * GIB))


def offered() -> list[InstanceType]:
    """The types that EC2 lists here: general, compute and memory families, burstable and accelerated types."""
    names = [f"{family}.{size}" for family in _OFFERED_FAMILIES for size in _OFFERED_SIZES]
    return [found for name in (*names, *_EXCEPTIONS) if (found := lookup(name)) is not None]


_FAMILY = re.compile(r"(?P<letter>[mcr])[4-8][a-z]{0,3}")
_GIB_PER_VCPU = {"m": 4, "c": 2, "r": 8}
_OFFERED_FAMILIES = ("m5", "m5d", "m6i", "m6g", "m7i", "c5", "c5d", "c6i", "c7i", "r5", "r5d", "r6i", "r7i")
_OFFERED_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")

_EXCEPTIONS: dict[str, tuple[int, float, int]] = {
    "t2.nano": (1, 0.5, 0),
    "t2.micro": (1, 1, 0),
    "t2.small": (1, 2, 0),
    "t2.medium": (2, 4, 0),
    "t2.large": (2, 8, 0),
    "t2.xlarge": (4, 16, 0),
    "t2.2xlarge": (8, 32, 0),
    "t3.nano": (2, 0.5, 0),
    "t3.micro": (2, 1, 0),
    "t3.small": (2, 2, 0),
    "t3.medium": (2, 4, 0),
    "t3.large": (2, 8, 0),
    "t3.xlarge": (4, 16, 0),
    "t3.2xlarge": (8, 32, 0),
    "m4.10xlarge": (40, 160, 0),
    "c4.large": (2, 3.75, 0),
    "c4.xlarge": (4, 7.5, 0),
    "c4.2xlarge": (8, 15, 0),
    "c4.4xlarge": (16, 30, 0),
    "c4.8xlarge": (36, 60, 0),
    "r4.large": (2, 15.25, 0),
    "r4.xlarge": (4, 30.5, 0),
    "r4.2xlarge": (8, 61, 0),
    "p2.xlarge": (4, 61, 1),
    "p3.2xlarge": (8, 61, 1),
    "p3.8xlarge": (32, 244, 4),
    "p3.16xlarge": (64, 488, 8),
    "p4d.24xlarge": (96, 1152, 8),
    "p5.48xlarge": (192, 2048, 8),
    "g4dn.xlarge": (4, 16, 1),
    "g4dn.2xlarge": (8, 32, 1),
    "g4dn.4xlarge": (16, 64, 1),
    "g4dn.8xlarge": (32, 128, 1),
    "g4dn.12xlarge": (48, 192, 4),
    "g5.xlarge": (4, 16, 1),
    "g5.2xlarge": (8, 32, 1),
    "g5.4xlarge": (16, 64, 1),
    "g5.8xlarge": (32, 128, 1),
    "g5.12xlarge": (48, 192, 4),
    "g6.xlarge": (4, 16, 1),
    "g6.2xlarge": (8, 32, 1),
}


def _vcpus(size: str) -> int:
    if size == "medium":
        return 1
    if size == "large":
        return 2
    match = re.fullmatch(r"(\d*)xlarge", size)
    return 4 * int(match[1] or 1) if match else 0
