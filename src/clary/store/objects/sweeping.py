"""Removes content files whose objects are gone, and those that a crash has left over.

A file that no row names and that nobody protects is an orphan for good: rows are only ever written for files that are
protected until then, and a copy gets a name of its own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence, Set
    from pathlib import Path

    from clary.store.objects.files import Files
    from clary.store.objects.readers import Readers

GRACE_S = 60.0
"""How long a file outlives the object, so that whoever is about to read it still finds it."""

EVERY_S = 3600.0
"""How often the whole place is searched."""

READERS_EVERY_S = 1.0
"""How often to look whether those have ended who still read."""

BATCH = 500
PAUSE_S = 0.005
"""Left to others between two batches."""

log = logging.getLogger(__name__)


class Sweeper:
    """A thread that removes content files in the background; several processes may have one each.

    Args:
        folder: where the processes agree on who searches.
        files: the place that is swept.
        named: tells which of some files rows name.
        readers: tells who still reads.
    """

    def __init__(
        self,
        folder: Path,
        files: Files,
        named: Callable[[Sequence[str]], Set[str]],
        readers: Readers,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        self._files = files
        self._named = named
        self._readers = readers
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._search_lock = os.open(folder / "search", os.O_RDWR | os.O_CREAT, 0o600)
        self._discarded: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="content-files", daemon=True)

    def start(self) -> None:
        """Begins to sweep; the first process to do so knows that nobody has just begun to write."""
        if _locked(self._lock):
            self._files.remove_abandoned(time.time())
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._thread.start()

    def close(self) -> None:
        """Stops sweeping; what is left is found by the next search."""
        self._closing.set()
        self._discarded.put(None)
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._lock)
        os.close(self._search_lock)

    def discard(self, names: Iterable[str]) -> int:
        """Removes files whose objects are gone, when nobody can be reading them any more; tells how many."""
        count = 0
        for count, name in enumerate(names, start=1):  # noqa: B007  # the last one is the answer
            self._discarded.put((time.time(), name))
        return count

    def orphans(self) -> Iterator[str]:
        """The complete files that no row names and nobody protects."""
        for names in self._files.names():
            for begin in range(0, len(names), BATCH):
                batch = names[begin : begin + BATCH]
                suspects = set(batch) - self._named(batch)
                idle = [name for name in suspects if not self._files.is_protected(name)]
                # Protection may have ended with the commit of the row that names the file.
                yield from set(idle) - self._named(idle)
                if self._closing.wait(PAUSE_S):
                    return

    def remove(self, names: Iterable[str]) -> None:
        """Removes orphans now, for a process that does not sweep; waits for readers when others use the place."""
        due = 0.0 if _locked(self._lock) else time.time() + self._grace_s
        self._wait_until_unread(due)
        for name in names:
            self._files.remove(name)

    def search(self) -> int:
        """Discards all orphans, unless another process is searching for them already; tells how many."""
        if not _locked(self._search_lock):
            return 0
        try:
            self._files.remove_abandoned(time.time() - self._grace_s)
            return self.discard(self.orphans())
        finally:
            fcntl.flock(self._search_lock, fcntl.LOCK_UN)

    def _run(self) -> None:
        due = 0.0
        while not self._closing.is_set():
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + EVERY_S
                    self.search()
                self._remove_next(due - time.monotonic())
            except Exception:  # the place may be out of reach for a while; the next search finds what is left
                log.exception("content files could not be swept")

    def _remove_next(self, timeout_s: float) -> None:
        try:
            discarded = self._discarded.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return
        if discarded is None:
            return
        since, name = discarded
        # Whatever comes next was discarded later, so that it would have to wait for the same readers.
        self._wait_until_unread(since + self._grace_s)
        if not self._closing.is_set():
            self._files.remove(name)

    def _wait_until_unread(self, due: float) -> None:
        self._closing.wait(max(0.0, due - time.time()))
        while self._readers.oldest() < due and not self._closing.wait(READERS_EVERY_S):
            pass


def _locked(descriptor: int) -> bool:
    """Takes a lock unless somebody else has it; tells whether it did."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
