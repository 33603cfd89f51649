"""Content files: one for each object or part that is too large for a row.

A file is written below `incoming` and moved to its final place when it is complete; it is never changed afterwards.
A file belongs to an object when a committed row names it. Files that no row names are left over from a crash.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence, Set
    from pathlib import Path

GRACE_S = 60.0
"""How long a file outlives the object, so that whoever is about to read it still finds it."""


class Files:
    """The folder of content files.

    Args:
        folder: where they lie; made when it is not there.
        durable: whether a file is on the disk, not only in its cache, before it counts as complete.
    """

    def __init__(self, folder: Path, *, durable: bool, grace_s: float = GRACE_S) -> None:
        self._incoming = folder / "incoming"
        self._contents = folder / "contents"
        self._durable = durable
        self._grace_s = grace_s
        for each in (self._incoming, self._contents):
            each.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._discarded: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._held: Counter[str] = Counter()
        self._janitor = threading.Thread(target=self._sweep, name="content-files", daemon=True)

    def open(self, named: Callable[[], Set[str]]) -> None:
        """Takes the folder into use; the first process to do so removes what a crash has left over.

        Args:
            named: tells the files that rows name.
        """
        with suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._remove_orphans(named())
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._janitor.start()

    def close(self) -> None:
        """Stops looking after the folder."""
        self._closing.set()
        self._discarded.put((0.0, ""))
        self._janitor.join()
        os.close(self._lock)

    def path(self, name: str) -> Path:
        """Where a complete file lies."""
        return self._contents / name[:2] / name

    def create(self) -> Incoming:
        """A new file to write to."""
        return Incoming(self, self._incoming / uuid.uuid4().hex)

    def settle(self, incoming: Path) -> str:
        """Moves a written file to its final place; tells its name."""
        final = self.path(incoming.name)
        try:
            incoming.rename(final)
        except FileNotFoundError:
            final.parent.mkdir(exist_ok=True)
            self._flush_folder(self._contents)
            incoming.rename(final)
        self._flush_folder(final.parent)
        return final.name

    def link(self, name: str) -> str:
        """A second name for the same content, which may be discarded by itself."""
        copy = uuid.uuid4().hex
        final = self.path(copy)
        final.parent.mkdir(exist_ok=True)
        os.link(self.path(name), final)
        self._flush_folder(final.parent)
        return copy

    def flush(self, descriptor: int) -> None:
        """Waits until what was written is on the disk, if that is asked for."""
        if self._durable:
            os.fdatasync(descriptor)

    def remove(self, name: str) -> None:
        """Removes a file that nobody can be reading."""
        self.path(name).unlink(missing_ok=True)

    def discard(self, names: Iterable[str]) -> None:
        """Removes files whose objects are gone, after a grace for those who still read."""
        due = time.monotonic() + self._grace_s
        for name in names:
            self._discarded.put((due, name))

    @contextmanager
    def held(self, names: Sequence[str]) -> Iterator[None]:
        """Keeps files of this process from being swept while the block reads them, however long it takes."""
        self._held.update(names)
        try:
            yield
        finally:
            self._held.subtract(names)

    def _sweep(self) -> None:
        while True:
            due, name = self._discarded.get()
            # What is not removed when the process ends is an orphan, which the next start removes.
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return
            if self._held[name] > 0:
                self.discard([name])
            else:
                self.remove(name)

    def _flush_folder(self, folder: Path) -> None:
        if not self._durable:
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_orphans(self, named: Set[str]) -> None:
        for path in self._incoming.iterdir():
            path.unlink()
        for shard in self._contents.iterdir():
            for path in shard.iterdir():
                if path.name not in named:
                    path.unlink()


class Incoming:
    """A content file that is being written."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> None:
        """Appends bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def finish(self) -> str:
        """Makes the file complete; tells its name."""
        self._files.flush(self._descriptor)
        self._close()
        return self._files.settle(self._path)

    def abandon(self) -> None:
        """Removes what was written."""
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
