"""What is ours in a container engine: images of our registry, under names of ours, and containers.

HEX.lock    held alone by who brings an image; its time is that of the last use; HEX is that of the image's digest
"""

from __future__ import annotations

import fcntl
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clary.agent import bundle
from clary.agent.container import LOCK
from clary.agent.engine_api import Engine
from clary.agent.engine_container import BUNDLE
from clary.compute.roots import UNUSED_S, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NAME = "localhost/clary"
_BLOCK_BYTES = 512


class Layer(NamedTuple):
    """One layer as the registry keeps it, compressed or not."""

    size: int
    chunks: Callable[[], Iterator[bytes]]


class EngineImages:
    """Images in the engine at a socket; `folder` holds their locks."""

    def __init__(self, folder: Path, socket: str) -> None:
        self._folder = folder
        self._engine = Engine(socket)

    def get(self, digest: str, config: bytes, layers: Sequence[Layer]) -> str:
        """The name of an image in the engine, brought there now unless it has been before.

        Raises:
            OSError: the engine does not take it, or does not answer.
        """
        name = f"{_NAME}:{digest.rpartition(':')[2]}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self._folder / f"{digest.rpartition(':')[2]}{LOCK}", fcntl.LOCK_EX):
            if not self._engine.has_image(name):
                self._engine.load_image(name, _archive(name, config, layers))
        return name

    def sweep(self, now: float) -> None:
        """Remove the images that nobody has used for long from the engine.

        Raises:
            OSError: the engine does not answer.
        """
        for lock in self._folder.glob(f"*{LOCK}"):
            if lock.stat().st_mtime < now - UNUSED_S:
                self._engine.remove_image(f"{_NAME}:{lock.name.removesuffix(LOCK)}")
                lock.unlink()


def sweep_containers(socket: str, home: Path) -> None:
    """Remove the containers of workloads below `home` that nobody tends: the engine was away when they should go.

    Raises:
        OSError: the engine does not answer.
    """
    engine = Engine(socket)
    for container, folder in engine.labels(BUNDLE).items():
        if Path(folder).is_relative_to(home) and bundle.agent_pid(Path(folder)) is None:
            engine.remove(container)


def _archive(name: str, config: bytes, layers: Sequence[Layer]) -> Iterator[bytes]:
    """An image as `docker save` writes it."""
    names = [f"{index}/layer.tar" for index in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    for entry, data in (("manifest.json", json.dumps(manifest).encode()), ("config.json", config)):
        yield from _entry(entry, len(data), iter([data]))
    for entry, layer in zip(names, layers, strict=True):
        yield from _entry(entry, layer.size, layer.chunks())
    yield bytes(2 * _BLOCK_BYTES)


def _entry(name: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = size
    yield info.tobuf()
    yield from chunks
    yield bytes(-size % _BLOCK_BYTES)
