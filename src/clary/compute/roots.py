"""The unpacked systems of images: one folder each, made once and never changed.

HEX         an image, complete; HEX is that of its digest
HEX.lock    held shared by those who use it and alone by who makes or removes it; its time is that of the last use
.HEX.*      one that is being made
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent.bundle import remove
from clary.agent.container import LOCK
from clary.compute.unpacking import Unpacker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNUSED_S = 7 * 86_400.0
"""How long an unpacked image is kept that nobody uses."""


class Roots:
    """A folder of unpacked images, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, digest: str, layers: Iterable[Iterator[bytes]]) -> Path:
        """The folder of an image, unpacked now from its layers unless it has been before.

        Raises:
            BadLayer: a layer cannot be unpacked.
            OSError: the disk does not take it.
        """
        root = self._folder / digest.rpartition(":")[2]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(Path(f"{root}{LOCK}"), fcntl.LOCK_SH):
            if root.is_dir():
                return root
        with locked(Path(f"{root}{LOCK}"), fcntl.LOCK_EX):
            if not root.is_dir():
                self._unpack(root, layers)
        return root

    def sweep(self, now: float | None = None) -> int:
        """Remove the images that nobody has used for long, and what was left half made; tell how many."""
        before = (time.time() if now is None else now) - UNUSED_S
        count = 0
        for lock in self._folder.glob(f"*{LOCK}"):
            if lock.stat().st_mtime < before and _remove_unused(lock):
                count += 1
        return count

    def _unpack(self, root: Path, layers: Iterable[Iterator[bytes]]) -> None:
        for left in self._folder.glob(f".{root.name}.*"):
            remove(left)
        draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=self._folder))
        try:
            unpacker = Unpacker(draft)
            for layer in layers:
                unpacker.apply(layer)
            draft.chmod(0o755)
            # After a power failure the name must not be there without all that belongs to it.
            os.sync()
            draft.rename(root)
        except BaseException:
            remove(draft)
            raise


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    """Hold the lock of an image, shared or alone, and note that it was used."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        os.utime(descriptor)
        yield
    finally:
        os.close(descriptor)


def _remove_unused(lock: Path) -> bool:
    """Remove an image unless somebody uses it; the lock stays, as others may wait for it."""
    root = Path(str(lock).removesuffix(LOCK))
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        for folder in (*root.parent.glob(f".{root.name}.*"), root):
            remove(folder)
        return True
    finally:
        os.close(descriptor)
