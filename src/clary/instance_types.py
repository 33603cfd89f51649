"""The vCPUs, memory and accelerators of instance types, as the table beside this module tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class InstanceType:
    """The size of an instance; `name` is the EC2 name, without the `ml.` of SageMaker."""

    name: str
    vcpus: int
    memory_bytes: int
    gpus: int = 0
    accelerators: int = 0
    """Chips for machine learning that are no GPUs: Inferentia, Trainium, Gaudi."""


def lookup(name: str) -> InstanceType | None:
    """The facts of an instance type (`m5.large`, `ml.m5.large`), or None when they are not known."""
    return _TYPES.get(name.removeprefix("ml.").removeprefix("system."))


def offered() -> list[InstanceType]:
    """The types that EC2 lists here: all that are known."""
    return list(_TYPES.values())


_SIZE = re.compile(r"(?P<name>[^=+~]+)(=(?P<vcpus>\d+))?(/(?P<gib>[\d.]+))?(\+(?P<gpus>\d+))?(~(?P<accelerators>\d+))?")


def _load() -> Iterator[InstanceType]:
    for line in files("clary").joinpath("instance_types.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        families, gib_per_vcpu, sizes = line.split(" | ")
        for family in families.split():
            for size in sizes.split():
                yield _read(family, gib_per_vcpu, size)


def _read(family: str, gib_per_vcpu: str, size: str) -> InstanceType:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"{family}: {size} is no size")
    vcpus = int(match["vcpus"] or _vcpus(match["name"]))
    gib = float(match["gib"] or vcpus * float(gib_per_vcpu))
    # AWS tells whole MiB.
    memory = int(gib * (GIB // _MIB)) * _MIB
    name = f"{family}.{match['name']}"
    return InstanceType(name, vcpus, memory, int(match["gpus"] or 0), int(match["accelerators"] or 0))


def _vcpus(size: str) -> int:
    if size in {"medium", "large"}:
        return 1 if size == "medium" else 2
    return 4 * int(re.sub(r"\D", "", size) or 1)


_TYPES: Mapping[str, InstanceType] = {found.name: found for found in _load()}
