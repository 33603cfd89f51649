"""A mark in memory that the processes of a machine share, so that a look at it tells whether caches are stale.

It is odd from the first write that concerns caches until that transaction is over, and then another even one. A
process that is killed in between leaves an odd one, which nobody trusts, until the next such write.
"""

from __future__ import annotations

import mmap
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZE_BYTES = 8


class Generation:
    """The mark in a file of its own; only the one who has the database's write lock changes it."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size != SIZE_BYTES:
                os.ftruncate(descriptor, SIZE_BYTES)
            self._memory = mmap.mmap(descriptor, SIZE_BYTES)
        finally:
            os.close(descriptor)
        self._begun = b""

    def now(self) -> object:
        """The mark; something equal to nothing while it is odd."""
        mark = self._memory[:]
        return object() if mark[0] & 1 else mark

    def begin(self) -> None:
        """A transaction changes what caches hold."""
        if not self._begun:
            self._begun = _mark(odd=True)
            self._memory[:] = self._begun

    def end(self) -> None:
        """The transaction is over, with or without success."""
        # Another process may have begun since the commit.
        if self._begun and self._memory[:] == self._begun:
            self._memory[:] = _mark(odd=False)
        self._begun = b""

    def close(self) -> None:
        """Gives the memory back."""
        self._memory.close()


def _mark(*, odd: bool) -> bytes:
    mark = bytearray(secrets.token_bytes(SIZE_BYTES))
    mark[0] = mark[0] | 1 if odd else mark[0] & ~1
    return bytes(mark)
