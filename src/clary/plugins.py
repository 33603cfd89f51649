"""The parts that others may add by entry points; Clary's own come the same way."""

from __future__ import annotations

from functools import partial
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


def backend(setting: str) -> Callable[..., Backend]:
    """Builds the place where workloads run that is offered under a name: `build(home, machine, warm=True)`.

    What follows the name as in `ray://HOST:PORT` is handed over as `address`.

    Raises:
        ValueError: no package offers it, or one that it needs is not installed.
    """
    name, separator, address = setting.partition("://")
    found = {entry.name: entry for entry in entry_points(group=COMPUTE)}
    if name not in found:
        raise ValueError(f"CLARY_COMPUTE: {name!r} is not one of {', '.join(sorted(found))}")
    try:
        build: Callable[..., Backend] = found[name].load()
    except ModuleNotFoundError as error:
        raise ValueError(f"CLARY_COMPUTE: {name} needs {error.name}, which clary[{name}] installs") from error
    return partial(build, address=address) if separator else build
