"""Files of events that only grow: `TIME-ID.log`, one for each process that writes and for each day.

A line is the hash of the line before together with this one, a blank, and the event as JSON: whoever changes, removes
or inserts a line breaks the chain from there on. A line is written with one system call before the caller of the
platform has its answer, so the end of the process loses none; `flush` brings them to the disk.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from clary.clock import Clock

SEGMENT_BYTES = 32 << 20
"""A segment that has grown to this size is followed by the next."""

PACKED = ".log.gz"
HASH_DIGITS = 64
LOST = b'{"lost":'
"""Begins the line that stands for events that could not be written."""
_PREFIX = HASH_DIGITS + 1


class Line(NamedTuple):
    """One event of a segment: where the next one begins, the hash that closes it, and its JSON."""

    end: int
    chain: bytes
    body: bytes


class Segments:
    """Appends events to a segment of this process's own; safe to call from any thread.

    When the disk is full the calls of users go on, as that is how room is made: what could not be written is counted,
    and the count is the next line that fits.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._file = -1
        self._name = ""
        self._day = 0
        self._size = 0
        self._chain = b""
        self._lost = 0
        self._flushed = 0

    @property
    def current(self) -> str:
        """The name of the segment that this process still writes; empty before the first event."""
        return self._name

    def append(self, body: bytes, day: int) -> None:
        """Adds an event that ended on this day, a number that grows."""
        with self._lock:
            try:
                if day > self._day or self._size > SEGMENT_BYTES:
                    self._begin(day)
                if self._lost:
                    self._write(b"%b%d}" % (LOST, self._lost))
                    self._lost = 0
                self._write(body)
            except OSError:
                self._lost += 1

    def flush(self) -> None:
        """Brings what was appended to the disk."""
        with self._lock:
            if self._file < 0 or self._flushed == self._size:
                return
            file, self._flushed = os.dup(self._file), self._size
        try:
            os.fdatasync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Ends the segment; the next event begins another."""
        self.flush()
        with self._lock:
            self._end()

    def _begin(self, day: int) -> None:
        self._end()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._name = f"{self._clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.log"
        self._file = os.open(self.folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._day, self._size, self._flushed = day, 0, 0
        self._chain = first_chain(self._name)

    def _end(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file, self._day, self._name = -1, 0, ""

    def _write(self, body: bytes) -> None:
        chain = hashlib.sha256(self._chain + body).hexdigest().encode()
        line = b"%b %b\n" % (chain, body)
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, self._size)
            raise OSError("the disk is full")
        self._size += len(line)
        self._chain = chain


def first_chain(segment: str) -> bytes:
    """What the first line of a segment is chained to: its name, so that none passes for another."""
    return hashlib.sha256(segment.removesuffix(".gz").encode()).hexdigest().encode()


def names(folder: Path) -> list[str]:
    """The segments in a folder, oldest first."""
    found = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name for name in found if name.endswith((".log", PACKED)))


def began(segment: str) -> str:
    """When a segment was begun, as `19700101T000000`."""
    return segment.partition("-")[0]


def stamp(moment: datetime) -> str:
    """A time as the names of segments begin with it."""
    return f"{moment:%Y%m%dT%H%M%S}"


def lines(path: Path, position: int = 0) -> Iterator[Line]:
    """The complete lines of a segment from a position on; half a line at the end is not there yet."""
    with _opened(path) as file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return
            position += len(line)
            yield Line(position, line[:HASH_DIGITS], line[_PREFIX:-1])


def pack(path: Path) -> None:
    """Compresses a segment to which nothing will be added."""
    packed = path.with_name(path.name + ".gz")
    unfinished = path.with_name(path.name + ".part")
    with path.open("rb") as source, gzip.open(unfinished, "wb", 6) as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)
    unfinished.chmod(0o600)
    unfinished.rename(packed)
    path.unlink()


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]  # reads bytes
