"""The input of a batch transform cut into records, and records packed into requests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEADER = struct.Struct("<II")
MAGIC = 0xCED7230A
LENGTH_MASK = (1 << 29) - 1
WHOLE, LAST = 0, 3
"""Continuation flags of RecordIO, in the upper three bits of the length: a record may come in several frames."""


class SplitError(Exception):
    """The input cannot be cut as it was asked; the text says why."""


def split(file: BinaryIO, how: str) -> Iterator[bytes]:
    """The records of a file; joined together they are the file, empty lines aside.

    Raises:
        SplitError: it is no RecordIO.
    """
    if how == "Line":
        return (line for line in file if line.strip())
    if how == "RecordIO":
        return _recordio(file)
    content = file.read()
    return iter((content,) if content else ())


def pack(records: Iterable[bytes], most_bytes: int, *, several: bool) -> Iterator[list[bytes]]:
    """The records in requests of at most `most_bytes` (0: no limit), one each unless there may be `several`.

    Raises:
        SplitError: one record alone is too large.
    """
    batch: list[bytes] = []
    size = 0
    for record in records:
        if most_bytes and len(record) > most_bytes:
            raise SplitError(f"A record of {len(record)} bytes exceeds MaxPayloadInMB ({most_bytes >> 20} MB).")
        if batch and (not several or (most_bytes and size + len(record) > most_bytes)):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def _recordio(file: BinaryIO) -> Iterator[bytes]:
    frames: list[bytes] = []
    while header := file.read(HEADER.size):
        magic, length = HEADER.unpack(header) if len(header) == HEADER.size else (0, 0)
        padded = (length & LENGTH_MASK) + 3 & ~3
        payload = file.read(padded)
        if magic != MAGIC or len(payload) < padded:
            raise SplitError("The input is not valid RecordIO.")
        frames.append(header + payload)
        if length >> 29 in {WHOLE, LAST}:
            yield b"".join(frames)
            frames = []
    if frames:
        raise SplitError("The input ends within a record.")
