"""The parts that others may add by entry points; Clary's own come the same way."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.compute.base import Backend
    from clary.services.service import Service

SERVICES = "clary.services"
COMPUTE = "clary.compute"


def services() -> dict[str, Service]:
    """Every AWS service that is installed, by botocore's name for it."""
    return {entry.name: entry.load() for entry in entry_points(group=SERVICES)}


def backend(name: str) -> Callable[..., Backend]:
    """Builds the place where workloads run that is offered under this name: `build(home, machine, warm=True)`.

    Raises:
        ValueError: no package offers it.
    """
    found = {entry.name: entry for entry in entry_points(group=COMPUTE)}
    if name not in found:
        raise ValueError(f"CLARY_COMPUTE: {name!r} is not one of {', '.join(sorted(found))}")
    build: Callable[..., Backend] = found[name].load()
    return build
