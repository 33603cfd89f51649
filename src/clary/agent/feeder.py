"""Feeds the named pipes of a workload, one for each epoch, from a process of its own.

The pipes lie in a folder that the workload may change, so they are only ever reached by way of that folder's
descriptor, and opened only if they still are what was made.
"""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import random
import signal
import stat
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from clary.agent import bundle, linux, recordio
from clary.agent.catalogue import Catalogue, Node
from clary.agent.workload import ML_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.agent.workload import Pipe, Workload

_CHUNK_BYTES = 1 << 20


def start(workload: Workload) -> None:
    """Begins a process for each pipe of `workload`, all of which end with the calling one at the latest."""
    for pipe in workload.pipes:
        folder = Folder(workload.bundle, pipe)
        # There before the workload begins.
        folder.make(0)
        if os.fork() == 0:
            _run(workload, pipe, folder)
        folder.close()


def _run(workload: Workload, pipe: Pipe, folder: Folder) -> NoReturn:
    agent = os.getppid()
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if sys.platform == "linux":
            linux.die_with_parent(signal.SIGKILL)
        Feeder(Catalogue(workload.bundle / bundle.INPUTS), pipe, folder).feed()
    except Exception as error:  # noqa: BLE001  # whatever it is, the workload would wait for ever
        with suppress(OSError):
            (workload.bundle / bundle.INPUTS / bundle.FAILURE).write_text(str(error) or type(error).__name__)
            os.kill(agent, signal.SIGTERM)
    finally:
        os._exit(0)


class Folder:
    """Where the named pipes of one stream are."""

    def __init__(self, folder: Path, pipe: Pipe) -> None:
        place = folder / "ml" / Path(pipe.target).relative_to(ML_ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        self._name = place.name
        self._descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def make(self, epoch: int) -> None:
        """Makes the pipe of an epoch, unless it is there."""
        mask = os.umask(0)
        with suppress(FileExistsError):
            os.mkfifo(self._of(epoch), 0o666, dir_fd=self._descriptor)
        os.umask(mask)

    def open(self, epoch: int) -> int:
        """Waits until the workload opens the pipe of an epoch, and gives the other end.

        Raises:
            ValueError: it is no pipe any more.
        """
        found = os.open(self._of(epoch), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._descriptor)
        if not stat.S_ISFIFO(os.fstat(found).st_mode):
            os.close(found)
            raise ValueError(f"{self._of(epoch)} was replaced by something that is no named pipe")
        return found

    def remove(self, epoch: int) -> None:
        """Takes the pipe of an epoch away."""
        with suppress(FileNotFoundError):
            os.unlink(self._of(epoch), dir_fd=self._descriptor)

    def close(self) -> None:
        """Lets go of the folder."""
        os.close(self._descriptor)

    def _of(self, epoch: int) -> str:
        return f"{self._name}_{epoch}"


class Feeder:
    """Feeds one stream, epoch after epoch."""

    def __init__(self, catalogue: Catalogue, pipe: Pipe, folder: Folder) -> None:
        self._catalogue = catalogue
        self._pipe = pipe
        self._folder = folder

    def feed(self) -> None:
        """Goes on until the workload takes the pipes away or the process is ended, as it may read many epochs.

        Raises:
            ValueError: a content is not what the request says of it.
            OSError: it cannot be read.
        """
        epoch = 0
        while self.feed_epoch(epoch):
            self._folder.remove(epoch)
            epoch += 1

    def feed_epoch(self, epoch: int) -> bool:
        """Waits for the reader of an epoch and sends it everything, or as much as it wants; False: there is no pipe."""
        # There before this one ends, because it will be opened at once.
        self._folder.make(epoch + 1)
        try:
            descriptor = self._folder.open(epoch)
        except FileNotFoundError:
            return False
        _widen(descriptor)
        try:
            for content in self._contents(epoch):
                _write(descriptor, content)
        except BrokenPipeError:
            pass
        finally:
            os.close(descriptor)
        return True

    def _contents(self, epoch: int) -> Iterator[bytes]:
        pipe = self._pipe
        items = self._catalogue.items(pipe.name)
        if pipe.seed is not None:
            random.Random(f"{pipe.seed}/{epoch}").shuffle(items)  # noqa: S311  # the order is to be repeatable
        for item in items[pipe.shard :: pipe.shards]:
            for record in self._catalogue.records(pipe.name, item):
                yield from self._record(record)

    def _record(self, record: Node) -> Iterator[bytes]:
        try:
            if self._pipe.record_io:
                length = sum(map(len, self._chunks(record))) if self._is_packed(record) else record.size
                yield recordio.head(length)
                yield from self._chunks(record)
                yield recordio.tail(length)
            else:
                yield from self._chunks(record)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{record.name!r} is no gzip file: {error}") from error
        except ValueError as error:
            raise ValueError(f"{record.name!r}: {error}") from error

    def _is_packed(self, record: Node) -> bool:
        """Whether it is to be decompressed; what stands in the manifest itself is not."""
        return self._pipe.gunzip and bool(record.name)

    def _chunks(self, record: Node) -> Iterator[bytes]:
        plain: io.BufferedIOBase = io.BufferedReader(_Content(self._catalogue, record), _CHUNK_BYTES)
        if self._is_packed(record):
            plain = gzip.GzipFile(fileobj=plain)
        while chunk := plain.read(_CHUNK_BYTES):
            yield chunk


class _Content(io.RawIOBase):
    """One content of the catalogue as a file."""

    def __init__(self, catalogue: Catalogue, node: Node) -> None:
        self._catalogue = catalogue
        self._node = node
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives a memoryview
        with memoryview(buffer) as view:
            count = self._catalogue.read_into(view, self._node.id, self._offset)
        self._offset += count
        return count


def _widen(descriptor: int) -> None:
    """Let more be on the way at once, as far as this machine allows."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)


def _write(descriptor: int, content: bytes) -> None:
    with memoryview(content) as rest:
        done = 0
        while done < len(rest):
            done += os.write(descriptor, rest[done:])
