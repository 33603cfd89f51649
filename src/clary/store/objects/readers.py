"""Tells all processes since when objects of several files are being read.

A single file is opened at once and can be read to its end even when it is removed meanwhile; the files of a multipart
object are opened one after the other, which may take hours. Each process has a marker in a shared folder: a file that
it keeps locked and whose time is that of its oldest read.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IDLE = 0.0
_ENDING = ".reader"


class Readers:
    """The reads of this process, and when the oldest one of all processes began.

    Args:
        folder: where the markers lie; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._changing = threading.Lock()
        self._begun: dict[object, float] = {}
        draft = folder / uuid.uuid4().hex
        self._marker = draft.with_suffix(_ENDING)
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._mark()
        # Nobody may see the marker without its lock.
        draft.rename(self._marker)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keeps what was there at the begin of the block from being swept until its end."""
        token = object()
        with self._changing:
            self._begun[token] = time.time()
            self._mark()
        try:
            yield
        finally:
            with self._changing:
                del self._begun[token]
                self._mark()

    def oldest(self) -> float:
        """When the oldest read of any process began; infinity: nobody reads. Removes the markers of dead processes."""
        times = (self._time_of(marker) for marker in self._folder.glob(f"*{_ENDING}"))
        return min((time_ for time_ in times if time_ != _IDLE), default=float("inf"))

    def close(self) -> None:
        """Takes the marker away."""
        self._marker.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _mark(self) -> None:
        oldest = next(iter(self._begun.values()), _IDLE)
        os.utime(self._descriptor, (oldest, oldest))

    def _time_of(self, marker: Path) -> float:
        try:
            descriptor = os.open(marker, os.O_RDONLY)
        except FileNotFoundError:
            return _IDLE
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.fstat(descriptor).st_mtime
        else:
            marker.unlink(missing_ok=True)
            return _IDLE
        finally:
            os.close(descriptor)
