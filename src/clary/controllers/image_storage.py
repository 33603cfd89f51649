"""Frees what images no longer need: layers, uploads that nobody finished, and unpacked images that nobody runs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.compute.engine import EngineImages, sweep_containers
from clary.compute.roots import Roots
from clary.controllers.images import ENGINE, FOLDER
from clary.store.images import Images
from clary.store.layers import Layers
from clary.store.records import AlreadyExists, Record

if TYPE_CHECKING:
    from datetime import datetime

    from clary.platform import Platform
    from clary.store.layers import Repository

KIND = "image-storage"
EVERY = timedelta(hours=1)
UNUSED = timedelta(days=1)
"""How long a layer may wait for the image that names it; a push brings the layers first."""


class ImageStorageController:
    """Looks every hour."""

    kind = KIND

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._images = Images(platform.records)
        self._layers = Layers(platform.objects, platform.clock)

    def step(self, record: Record, now: datetime) -> Record:
        """Frees what can be freed and comes again."""
        before = (now - UNUSED).timestamp()
        for registry in list(self._layers.registries()):
            self._layers.abort_older(registry, before)
            self._free(registry, before)
        folder = self._platform.settings.home / FOLDER
        Roots(folder).sweep(now.timestamp())
        if self._platform.engine:
            # An engine that is away has them still.
            with suppress(OSError):
                EngineImages(folder / ENGINE, self._platform.engine).sweep(now.timestamp())
                sweep_containers(self._platform.engine, self._platform.settings.home)
        return replace(record, due=now + EVERY)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """Tried again later."""
        return replace(record, due=now + EVERY, observed={"Error": reason})

    def _free(self, registry: Repository, before: float) -> None:
        needed: dict[Repository, set[str]] = {}
        for repository, digest, came in self._layers.all(registry):
            if repository not in needed:
                needed[repository] = self._images.needed(repository)
            if came < before and digest not in needed[repository]:
                self._layers.remove(repository, digest)


def begin(platform: Platform) -> None:
    """Has the storage of images looked at every hour, if that has not begun before."""
    now = platform.clock.now()
    record = Record(KIND, platform.settings.account, "", "hourly", "", {}, now, now, due=now + EVERY)
    try:
        platform.records.create(record)
    except AlreadyExists:
        return
