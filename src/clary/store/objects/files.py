"""Content files: one for each object or part that is too large for a row; the contract of the places that keep them.

A file is written once and never changed. It belongs to an object when a committed row names it; `Sweeper` removes files
that no row names.

Files
├── Folder    a folder of this machine
└── Bucket    a bucket of any server that speaks S3
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.http import Stored


class Incoming(Protocol):
    """A content file that is being written, by one thread at a time."""

    def write(self, data: bytes) -> None:
        """Appends bytes.

        Raises:
            OSError: there is no room.
            ServiceError: the place does not take them.
        """
        ...

    def finish(self) -> str:
        """Makes the file complete, and as durable as was asked for; tells its name. Errors are those of `write`."""
        ...

    def abandon(self) -> None:
        """Removes what was written; after `finish` has failed, too."""
        ...


class Files(Protocol):
    """A place that keeps content files; threads may share it."""

    def create(self) -> Incoming:
        """A new file to write to."""
        ...

    def link(self, name: str) -> str:
        """Another name for the same content, which may be removed by itself; empty when the place cannot have it."""
        ...

    def release(self, name: str) -> None:
        """Ends the protection from sweeping that a finished or linked file has until a row names it."""
        ...

    def read(self, name: str, start: int, length: int) -> Stored:
        """Bytes of a file; reading them raises Damaged when they are not there."""
        ...

    def size(self, name: str) -> int:
        """How many bytes a file has.

        Raises:
            Damaged: there is no such file.
        """
        ...

    def remove(self, name: str) -> None:
        """Removes a file; one that is gone already is no error."""
        ...

    def names(self) -> Iterator[list[str]]:
        """The names of all complete files that are old enough to be swept, in batches."""
        ...

    def is_protected(self, name: str) -> bool:
        """Whether a row may yet come to name a file that none names: some process has just finished it."""
        ...

    def remove_abandoned(self, before: float) -> int:
        """Removes files that nobody writes any more, begun before a time; tells how many."""
        ...
