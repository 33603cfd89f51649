"""Folders of a training job that are brought to S3 while it runs: its checkpoints and its intermediate output.

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

CHECKPOINTS, INTERMEDIATE = "ml/checkpoints", "ml/output/intermediate"
"""The folders, in the bundle."""
DEFAULT_PATH = "/opt/ml/checkpoints"

EVERY_S = 5.0
"""How often the folder of a running job is looked through."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

QUIET_S = 1.0
"""A file that changed less than this ago is probably still being written."""


class Synced:
    """One folder of a host and its place in S3; what is there already is noted in the bundle by time and size."""

    def __init__(self, home: Path, name: str, uri: str, stager: Stager) -> None:
        """`home` is the bundle, `name` the folder in it."""
        self._home, self._name = home, name
        self._noted = home / f"{Path(name).name}.json"
        self._uri = uri.rstrip("/") + "/"
        self._stager = stager

    def restore(self) -> None:
        """Brings back what an earlier attempt, or another job, has left.

        Raises:
            StagingError: it is not allowed.
        """
        if self._stager.has_any(self._uri):
            self._stager.download(Source(self._uri), self._home / self._name)
        self._note({name: _marks(os.fstat(file)) for name, file in _files(self._home, self._name)})

    def sync(self) -> None:
        """Uploads what has changed while the job runs; what cannot be uploaded now is tried again later."""
        if not self._noted.exists() or time.time() - self._noted.stat().st_mtime >= EVERY_S:
            with suppress(StagingError):
                self._upload(settled_at=time.time() - QUIET_S)

    def finish(self) -> None:
        """Uploads what has changed until the end.

        Raises:
            StagingError: it is not allowed.
        """
        self._upload(settled_at=float("inf"))

    def _upload(self, settled_at: float) -> None:
        noted = bundle.read(self._noted) or {}
        try:
            for name, file in _files(self._home, self._name):
                status = os.fstat(file)
                if noted.get(name) != _marks(status) and status.st_mtime <= settled_at:
                    # By its descriptor: the workload may put something else in its place at any moment.
                    self._stager.upload(Path(f"/dev/fd/{file}"), self._uri + name)
                    noted[name] = _marks(status)
        finally:
            self._note(noted)

    def _note(self, noted: dict[str, Any]) -> None:
        bundle.write(self._noted, noted)


def _marks(status: os.stat_result) -> list[int]:
    return [status.st_mtime_ns, status.st_size]


def _files(home: Path, folder: str) -> Iterator[tuple[str, int]]:
    """Name and open descriptor of every plain file; no link is followed, whatever the workload does meanwhile.

    Raises:
        StagingError: something else stands in the place of the folder.
    """
    try:
        top = _descend(home, folder)
    except FileNotFoundError:
        return
    except OSError as error:
        reason = f"/opt/ml/{Path(folder).relative_to('ml')} is a link to what is not in /opt/ml, or is no folder"
        raise StagingError(f"ClientError: Artifact upload failed:{reason}") from error
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


def _descend(home: Path, folder: str) -> int:
    """The folder, opened step by step, as each part of its name may have become a link."""
    place = os.open(home, _FOLDER)
    for part in Path(folder).parts:
        above = place
        try:
            place = os.open(part, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return place


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
