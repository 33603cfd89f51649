"""What the stores need of a database: transactions, durability shared by many, and errors that say what to do.

Database
├── SqliteDatabase      one file, shared by the threads and processes of one machine
└── PostgresDatabase    a PostgreSQL server, shared by any number of machines

DatabaseError
├── DatabaseFull        the disk has no room
├── Unavailable         the server cannot be reached, or not now
├── InUse               another control process works with it
└── Unstorable          a value that this engine cannot keep

One text of SQL serves both: plain `?` marks, `RETURNING`, `ON CONFLICT`, no reliance on row numbers or on types that
adapt. Commits count at once; `sync` makes all earlier commits survive power loss. Many callers share one sync, which
is why it is not part of the commit: one disk flush takes milliseconds.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

Row = tuple[Any, ...]

UNLIMITED = 1 << 62
"""A `LIMIT` that lets everything through."""


class DatabaseError(Exception):
    """The database did not do what it was asked; the text names neither passwords nor parameters."""


class DatabaseFull(DatabaseError):
    """The disk of the database has no room."""


class Unavailable(DatabaseError):
    """The server cannot be reached or took too long; what was under way did not happen, or may not have."""


class InUse(DatabaseError):
    """Another control process works with this database."""


class Unstorable(DatabaseError):
    """A value that this engine cannot keep, for instance a NUL character or a name beyond what an index holds."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk has no room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, DatabaseFull)


def refuse_newer(layout: int, known: int) -> None:
    """Accepts a layout that this version of Clary knows.

    Raises:
        DatabaseError: it does not.
    """
    if layout > known:
        raise DatabaseError(f"it was written by a newer version of Clary (layout {layout})")


class Rows(Protocol):
    """What a statement answered."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """The next row, None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def close(self) -> None:
        """Gives up the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs statements inside of a transaction."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Runs one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Runs a statement once for each row of parameters."""


class Database(ABC):
    """A database that threads share; writers come one after the other, in all processes."""

    shared = False
    """Whether other processes may write at any time, so that news must be looked for."""

    lazy = False
    """Whether a statement finds its rows as they are fetched, rather than all of them at once."""

    @abstractmethod
    def read(self, sql: str, parameters: Sequence[object] = ()) -> Rows:
        """Runs a statement that changes nothing; inside of `write` it sees what was written there."""

    @abstractmethod
    def write(self) -> AbstractContextManager[Connection]:
        """A transaction: committed at the end of the block, undone when it raises; blocks may nest."""

    @property
    @abstractmethod
    def writing(self) -> bool:
        """Whether the calling thread is inside of `write`."""

    @property
    @abstractmethod
    def written(self) -> int:
        """Counts the commits of this process; compare before and after to see whether a call wrote."""

    @property
    @abstractmethod
    def synced(self) -> int:
        """How many of them are as durable as they will be."""

    @property
    def unsynced(self) -> bool:
        """Whether a commit of this process is not on the disk yet."""
        return self.synced < self.written

    @abstractmethod
    def sync(self) -> None:
        """Returns once all commits made before the call are on the disk; concurrent callers share one flush.

        Raises:
            Unavailable: the server went down between a commit and the flush, so that the commit may be lost.
        """

    @abstractmethod
    def mark(self) -> object:
        """Equal to an earlier answer only if no transaction that told `stale` has been committed since, by anyone.

        Inside of `write`, neither may the own one have told it.
        """

    @abstractmethod
    def stale(self) -> None:
        """Tells, inside of `write`, that what was read before will be out of date."""

    @abstractmethod
    def claim(self) -> None:
        """Takes or keeps the place of the one control process until `close` or the end of the process.

        Raises:
            InUse: another process has it.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes every connection; the object is of no use afterwards."""
