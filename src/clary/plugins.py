"""The parts that others may add by entry points; Clary's own come the same way."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.services.service import Service

SERVICES = "clary.services"
COMPUTE = "clary.compute"
ALGORITHMS = "clary.algorithms"


def services() -> dict[str, Service]:
    """Every AWS service that is installed, by botocore's name for it."""
    return {entry.name: entry.load() for entry in entry_points(group=SERVICES)}
