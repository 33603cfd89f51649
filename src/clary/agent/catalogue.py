"""The files that a workload reads without their having been copied: what they are called and where their bytes lie.

A folder holds `index`, a SQLite database; `pieces`, the files whose ranges make up the contents; and among those
`pieces/0`, into which small contents are packed. A million small files are then two files on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ROOT = 1
"""The node of the topmost folder, as in the kernel's protocol."""
FOLDER = -1
"""The size that marks a folder."""
_PACK = 0
_BATCH = 10_000
_OPEN_FILES = 64

_SCHEMA = """
CREATE TABLE nodes (id INTEGER PRIMARY KEY, parent INTEGER, name TEXT, size INTEGER, modified INTEGER);
CREATE TABLE extents (
    node INTEGER, start INTEGER, piece INTEGER, offset INTEGER, length INTEGER, PRIMARY KEY (node, start)
) WITHOUT ROWID;
CREATE TABLE records (
    stream TEXT, item INTEGER, position INTEGER, node INTEGER, PRIMARY KEY (stream, item, position)
) WITHOUT ROWID;
INSERT INTO nodes VALUES (1, 0, '', -1, 0);
"""
_BY_NAME = "CREATE UNIQUE INDEX by_name ON nodes (parent, name)"


class Extent(NamedTuple):
    """A range of a piece."""

    piece: int
    offset: int
    length: int


class Node(NamedTuple):
    """A file or folder."""

    id: int
    name: str
    size: int
    modified: int
    """Seconds since 1970."""

    @property
    def is_folder(self) -> bool:
        """Whether it holds further nodes."""
        return self.size == FOLDER


class Writer:
    """Writes a catalogue; nobody reads it before `complete`."""

    def __init__(self, folder: Path) -> None:
        self._pieces = folder / "pieces"
        self._pieces.mkdir(parents=True)
        self._database = sqlite3.connect(folder / "index", isolation_level=None, check_same_thread=False)
        # What a crash leaves of it is thrown away with the bundle.
        self._database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {_SCHEMA}")
        self._pack = (self._pieces / str(_PACK)).open("wb")
        self._packed = 0
        self._last_piece = _PACK
        self._last_node = ROOT
        self._folders: dict[str, int] = {"": ROOT}
        self._nodes: list[tuple[int, int | None, str, int, int]] = []
        self._extents: list[tuple[int, int, int, int, int]] = []
        self._records: list[tuple[str, int, int, int]] = []

    def pack(self, content: bytes) -> Extent:
        """Takes over the bytes of a small content."""
        self._pack.write(content)
        extent = Extent(_PACK, self._packed, len(content))
        self._packed += len(content)
        return extent

    def piece(self) -> tuple[int, Path]:
        """The number of a further piece and where to put its file."""
        self._last_piece += 1
        return self._last_piece, self._pieces / str(self._last_piece)

    def file(self, path: str, extents: Sequence[Extent], modified: int) -> None:
        """Puts a file at `path`, with the folders above it."""
        above, _, name = path.rpartition("/")
        self._nodes.append((self._content(extents), self._folder(above), name, _length(extents), modified))
        self._flush_batch()

    def record(self, stream: str, item: int, name: str, extents: Sequence[Extent]) -> None:
        """Puts a record at the end of an item of a stream; items are what is shuffled and sharded."""
        node = self._content(extents)
        self._nodes.append((node, None, name, _length(extents), 0))
        # Nodes are numbered in the order of their coming.
        self._records.append((stream, item, node, node))
        self._flush_batch()

    def complete(self) -> None:
        """Makes the catalogue ready for its readers.

        Raises:
            FileExistsError: two files have the same path, or a file has that of a folder.
        """
        self._flush()
        try:
            self._database.execute(_BY_NAME)
        except sqlite3.IntegrityError as error:
            raise FileExistsError(str(error)) from error
        self._database.execute("COMMIT")
        self.close()

    def close(self) -> None:
        """Closes its files, whether or not it is complete."""
        self._pack.close()
        self._database.close()

    def _content(self, extents: Sequence[Extent]) -> int:
        self._last_node += 1
        start = 0
        for piece, offset, length in extents:
            if length:
                self._extents.append((self._last_node, start, piece, offset, length))
            start += length
        return self._last_node

    def _folder(self, path: str) -> int:
        known = self._folders.get(path)
        if known is not None:
            return known
        above, _, name = path.rpartition("/")
        parent = self._folder(above)
        self._last_node += 1
        self._nodes.append((self._last_node, parent, name, FOLDER, 0))
        self._folders[path] = self._last_node
        return self._last_node

    def _flush_batch(self) -> None:
        if len(self._nodes) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._database.executemany("INSERT INTO nodes VALUES (?, ?, ?, ?, ?)", self._nodes)
        self._database.executemany("INSERT INTO extents VALUES (?, ?, ?, ?, ?)", self._extents)
        self._database.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", self._records)
        for rows in (self._nodes, self._extents, self._records):
            rows.clear()


class Catalogue:
    """A catalogue that was written; for one process each, because a fork must not share a database."""

    def __init__(self, folder: Path) -> None:
        self._pieces = folder / "pieces"
        self._database = sqlite3.connect(f"file:{_quoted(folder / 'index')}?immutable=1", uri=True)
        self._open: dict[int, int] = {}

    def node(self, number: int) -> Node | None:
        """The node of a number."""
        row = self._database.execute(f"{_NODE} WHERE id = ?", (number,)).fetchone()
        return Node(*row) if row else None

    def lookup(self, parent: int, name: str) -> Node | None:
        """What has this name in a folder."""
        row = self._database.execute(f"{_NODE} WHERE parent = ? AND name = ?", (parent, name)).fetchone()
        return Node(*row) if row else None

    def children(self, parent: int, behind: str) -> Iterator[Node]:
        """What is in a folder, in the order of names, behind one of them."""
        query = f"{_NODE} WHERE parent = ? AND name > ? ORDER BY name"
        with closing(self._database.execute(query, (parent, behind))) as rows:
            for row in rows:
                yield Node(*row)

    def extents(self, node: int, offset: int, length: int) -> Iterator[Extent]:
        """Where the bytes of a part of a file lie."""
        query = (
            "SELECT start, piece, offset, length FROM extents WHERE node = ? AND start < ? AND start >= "
            "(SELECT max(start) FROM extents WHERE node = ? AND start <= ?) ORDER BY start"
        )
        for start, piece, at, size in self._database.execute(query, (node, offset + length, node, offset)).fetchall():
            first, last = max(offset - start, 0), min(offset + length - start, size)
            if first < last:
                yield Extent(piece, at + first, last - first)

    def read_into(self, buffer: memoryview, node: int, offset: int) -> int:
        """Fills `buffer` with a part of a file; tells how many bytes there were.

        Raises:
            OSError: a piece is gone or too short.
        """
        filled = 0
        for extent in self.extents(node, offset, len(buffer)):
            with buffer[filled : filled + extent.length] as part:
                count = os.preadv(self.descriptor(extent.piece), [part], extent.offset)
            filled += count
            if count < extent.length:
                raise OSError(f"piece {extent.piece} is too short")
        return filled

    def items(self, stream: str) -> list[int]:
        """The items of a stream in their order."""
        rows = self._database.execute("SELECT DISTINCT item FROM records WHERE stream = ? ORDER BY item", (stream,))
        return [item for (item,) in rows]

    def records(self, stream: str, item: int) -> list[Node]:
        """The records of an item in their order."""
        query = f"{_NODE} JOIN records ON node = id WHERE stream = ? AND item = ? ORDER BY position"
        return [Node(*row) for row in self._database.execute(query, (stream, item))]

    def descriptor(self, piece: int) -> int:
        """The open file of a piece."""
        descriptor = self._open.pop(piece, -1)
        if descriptor < 0:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.pop(next(iter(self._open))))
            descriptor = os.open(self._pieces / str(piece), os.O_RDONLY | os.O_CLOEXEC)
        # The one used last stays longest.
        self._open[piece] = descriptor
        return descriptor

    def close(self) -> None:
        """Closes its files."""
        for descriptor in self._open.values():
            with suppress(OSError):
                os.close(descriptor)
        self._open.clear()
        self._database.close()


_NODE = "SELECT id, name, size, modified FROM nodes"


def _length(extents: Sequence[Extent]) -> int:
    return sum(extent.length for extent in extents)


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
