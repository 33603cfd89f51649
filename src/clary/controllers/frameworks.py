"""Scripts in the framework version that their image names, if the platform is set so."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from clary.compute.environments import CannotMake, Environments
from clary.controllers.staging import StagingError

if TYPE_CHECKING:
    from clary.agent.workload import Workload
    from clary.algorithms.catalogue import Image, Wish
    from clary.platform import Platform

FOLDER = "environments"
ALGORITHMS = "clary.algorithms"
_ALSO = {"xgboost": ("xgboost-cpu",)}
"""Packages that are the same library for other hardware."""


def in_framework(platform: Platform, image: Image, workload: Workload) -> Workload:
    """The workload in the environment that it shall run in: the platform's own, or one made for its image.

    Raises:
        StagingError: the framework is not installed, or its environment cannot be made.
    """
    wish = image.wish
    if wish is None or ALGORITHMS in workload.command:
        return workload
    version = _installed(wish)
    if version is not None and (platform.settings.frameworks == "installed" or _fits(version, wish.version)):
        return workload
    if platform.settings.frameworks == "installed":
        raise StagingError(
            f"ClientError: {wish.distribution} is not installed where Clary runs. Install it there, or set "
            "CLARY_FRAMEWORKS=requested to have an environment made with the version that the image names."
        )
    try:
        environment = Environments(platform.settings.home / FOLDER).get(wish.requirements, wish.python)
    except CannotMake as error:
        raise StagingError(
            f"ClientError: The environment of {image.framework} {image.version} cannot be made here: {error}"
        ) from error
    return environment.inside(workload)


def _installed(wish: Wish) -> str | None:
    for name in (wish.distribution, *_ALSO.get(wish.distribution, ())):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _fits(version: str, wanted: str) -> bool:
    return version == wanted or version.startswith(f"{wanted}.")
