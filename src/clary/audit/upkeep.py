"""The work on the audit log that no call waits for: to the disk, into the index, compressed, and away."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.store.audit import segments as files

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.clock import Clock
    from clary.store.audit import Index, Segments

FLUSH_S = 1.0
"""At most this much of the log is lost with the power."""
INDEX_EVERY = 15
"""How many flushes lie between two looks for events to index; a search looks by itself."""
TIDY_EVERY = 3600

log = logging.getLogger(__name__)


class Upkeep:
    """Tends the log in a thread of its own; only one process of a platform does more than flush its own segment."""

    def __init__(self, segments: Segments, index: Index, clock: Clock, retention: timedelta) -> None:
        self._segments = segments
        self._index = index
        self._clock = clock
        self._retention = retention
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._first = True

    def start(self, *, first: bool = True) -> None:
        """Begins; `first` is for the one process that indexes and tidies."""
        self._first = first
        self._thread.start()

    def stop(self) -> None:
        """Ends, with everything on the disk."""
        self._stopping.set()
        self._thread.join()
        self._segments.close()
        self._index.close()

    def tidy(self) -> None:
        """Packs the segments that are complete, and removes events older than the retention."""
        now = self._clock.now()
        before = now - self._retention
        self._index.expire(int(before.timestamp() * 1000))
        # A segment ends a day after it began at the latest.
        gone, done = files.stamp(before - timedelta(days=1)), files.stamp(now - timedelta(days=1, hours=1))
        known = self._index.known()
        for name in files.names(self._segments.folder):
            path = self._segments.folder / name
            if files.began(name) < gone:
                path.unlink()
                self._index.forget(name)
            elif files.began(name) < done and name.endswith(".log"):
                read = known.get(name, (0, b""))[0]
                if read and read == path.stat().st_size:
                    files.pack(path)

    def _run(self) -> None:
        ticks = 0
        while not self._stopping.wait(FLUSH_S):
            ticks += 1
            self._try(self._segments.flush)
            if self._first and ticks % INDEX_EVERY == 0:
                self._try(lambda: self._index.catch_up(gently=True))
            if self._first and ticks % TIDY_EVERY == INDEX_EVERY:
                self._try(self.tidy)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # a full disk must not end the upkeep
            log.exception("the audit log could not be tended")
