"""Checkpoints of a training job: to S3 while it runs, and back when it goes on after an interruption.

Source: "Checkpoints in Amazon SageMaker AI", SageMaker developer guide.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.agent import bundle
from clary.controllers.staging import Source, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.controllers.staging import Stager

FOLDER = "ml/checkpoints"
DEFAULT_PATH = "/opt/ml/checkpoints"

EVERY_S = 5.0
"""How often the folder of a running job is looked through."""

QUIET_S = 1.0
"""A file that changed less than this ago is probably still being written."""

_KEPT = "checkpoints.json"


class Checkpoints:
    """The checkpoints of one host; what is in S3 already is noted in its bundle by time and size."""

    def __init__(self, uri: str, folder: Path, stager: Stager) -> None:
        self._uri = uri.rstrip("/") + "/"
        self._bundle = folder
        self._stager = stager

    def restore(self) -> None:
        """Brings back what an earlier attempt, or another job, has left.

        Raises:
            StagingError: it is not allowed.
        """
        (self._bundle / FOLDER).mkdir(parents=True, exist_ok=True)
        if self._stager.has_any(self._uri):
            self._stager.download(Source(self._uri), self._bundle / FOLDER)
        self._keep({name: _marks(os.fstat(file)) for name, file in _files(self._bundle)})

    def sync(self) -> None:
        """Uploads what has changed while the job runs; what cannot be uploaded now is tried again later."""
        path = self._bundle / _KEPT
        if time.time() - path.stat().st_mtime >= EVERY_S:
            with suppress(StagingError):
                self._upload(settled_at=time.time() - QUIET_S)

    def finish(self) -> None:
        """Uploads what has changed until the end.

        Raises:
            StagingError: it is not allowed.
        """
        self._upload(settled_at=float("inf"))

    def _upload(self, settled_at: float) -> None:
        kept = bundle.read(self._bundle / _KEPT) or {}
        try:
            for name, file in _files(self._bundle):
                status = os.fstat(file)
                if kept.get(name) != _marks(status) and status.st_mtime <= settled_at:
                    # By its descriptor: the workload may put something else in its place at any moment.
                    self._stager.upload(Path(f"/dev/fd/{file}"), self._uri + name)
                    kept[name] = _marks(status)
        finally:
            self._keep(kept)

    def _keep(self, kept: dict[str, Any]) -> None:
        bundle.write(self._bundle / _KEPT, kept)


def _marks(status: os.stat_result) -> list[int]:
    return [status.st_mtime_ns, status.st_size]


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Name and open descriptor of every plain file; no link is followed, whatever the workload does meanwhile."""
    try:
        top = os.open(folder / FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for place, _, names, parent in os.fwalk(".", dir_fd=top):
            for name in sorted(names):
                file = _open(name, parent)
                if file is None:
                    continue
                try:
                    yield os.path.normpath(f"{place}/{name}"), file
                finally:
                    os.close(file)
    finally:
        os.close(top)


def _open(name: str, parent: int) -> int | None:
    """The plain file `name`, opened; None for anything else, and for what has just gone."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None
