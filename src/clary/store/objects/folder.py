"""Content files in a folder of this machine, which several processes may share.

A file is written below `incoming` and moved to its final place when it is complete. Whoever writes or links it holds a
lock on it until a row names it; the kernel ends the lock with the process, so that no clock is needed to tell what a
crash has left over.
"""

from __future__ import annotations

import fcntl
import os
import threading
import uuid
from typing import TYPE_CHECKING

from clary.http import Damaged, FileSlice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Folder:
    """The folder of content files.

    Args:
        folder: where they lie; made when it is not there.
        durable: whether a file is on the disk, not only in its cache, before it counts as complete.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._incoming = folder / "incoming"
        self._contents = folder / "contents"
        self._durable = durable
        self._locks: dict[str, int] = {}
        for each in (self._incoming, self._contents):
            each.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where a complete file lies."""
        return self._contents / name[:2] / name

    def create(self) -> IncomingFile:
        """A new file to write to."""
        return IncomingFile(self, self._incoming / uuid.uuid4().hex)

    def settle(self, incoming: Path, descriptor: int) -> str:
        """Moves a written file to its final place and keeps it locked; tells its name."""
        final = self.path(incoming.name)
        try:
            incoming.rename(final)
        except FileNotFoundError:
            final.parent.mkdir(exist_ok=True)
            self._flush_folder(self._contents)
            incoming.rename(final)
        self._flush_folder(final.parent)
        self._locks[final.name] = descriptor
        return final.name

    def link(self, name: str) -> str:
        """A second name for the same content; empty where the file system has none left, or knows no links."""
        copy = uuid.uuid4().hex
        final = self.path(copy)
        final.parent.mkdir(exist_ok=True)
        # Both names share the lock, which must be there before the new name is.
        descriptor = os.open(self.path(name), os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            os.link(self.path(name), final)
        except OSError:
            os.close(descriptor)
            return ""
        self._flush_folder(final.parent)
        self._locks[copy] = descriptor
        return copy

    def release(self, name: str) -> None:
        """Ends the protection of a file."""
        descriptor = self._locks.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def flush(self, descriptor: int) -> None:
        """Waits until what was written is on the disk, if that is asked for."""
        if self._durable:
            os.fdatasync(descriptor)

    def read(self, name: str, start: int, length: int) -> FileSlice:
        """Bytes of a file."""
        return FileSlice(self.path(name), start, length)

    def size(self, name: str) -> int:
        """How many bytes a file has."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError as error:
            raise Damaged(f"{self.path(name)} is gone") from error

    def remove(self, name: str) -> None:
        """Removes a file, which those who have it open may read to its end."""
        self.path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[list[str]]:
        """The names of all complete files, a sub-folder at a time."""
        for shard in sorted(path for path in self._contents.iterdir() if path.is_dir()):
            yield [path.name for path in shard.iterdir()]

    def is_protected(self, name: str) -> bool:
        """Whether somebody holds the lock of a file."""
        return _is_locked(self.path(name))

    def remove_abandoned(self, before: float) -> int:
        """Removes incoming files whose writer is gone; `before` passes over those that are not locked yet."""
        removed = 0
        for path in self._incoming.iterdir():
            if not _is_locked(path, since=before):
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _flush_folder(self, folder: Path) -> None:
        if not self._durable:
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class IncomingFile:
    """A content file that is being written.

    A write that was given up may still be under way in its thread; the descriptor must not become that of another file.
    """

    def __init__(self, folder: Folder, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._using = threading.Lock()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def write(self, data: bytes) -> None:
        """Appends bytes."""
        view = memoryview(data)
        with self._using:
            while view:
                view = view[os.write(self._descriptor, view) :]

    def finish(self) -> str:
        """Makes the file complete; tells its name."""
        self._folder.flush(self._descriptor)
        name = self._folder.settle(self._path, self._descriptor)
        self._descriptor = -1
        return name

    def abandon(self) -> None:
        """Removes what was written."""
        with self._using:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        self._path.unlink(missing_ok=True)


def _is_locked(path: Path, since: float = float("inf")) -> bool:
    """Whether somebody holds the lock of a file that is there; one that was changed since a time counts as locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(descriptor).st_mtime >= since:
            return True
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
