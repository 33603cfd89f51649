"""Where one bundle keeps contents for its agent: linked where the file system allows it, else copied."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clary.agent import bundle
from clary.agent.catalogue import Extent, Writer
from clary.controllers.staging import write
from clary.http import FileSlice, FileSlices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clary.http import Stored


class Shelf:
    """The folder `inputs` of a bundle; the catalogue is made when the first content goes into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / bundle.INPUTS
        self._writer: Writer | None = None
        self.copied = 0
        """Bytes that could not be linked."""

    @property
    def catalogue(self) -> Writer:
        """What the agent serves and streams."""
        if self._writer is None:
            self._writer = Writer(self._folder)
        return self._writer

    def tree(self, name: str) -> Path:
        """The folder of the files of one input that lie on the disk as they are."""
        return self._folder / "trees" / name

    def complete(self) -> None:
        """Makes the catalogue ready for the agent, if there is one."""
        if self._writer is not None:
            self._writer.complete()

    def close(self) -> None:
        """Closes the files of a catalogue, whether or not it is complete."""
        if self._writer is not None:
            self._writer.close()

    def put(self, body: bytes | Stored, path: Path, *, link: bool) -> bool:
        """Puts a content at a path of its own; tells whether that is a link, which nobody may then change.

        Raises:
            Damaged: the content is gone.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if link and isinstance(body, FileSlice) and _is_whole(body) and _link(body.path, path):
            return True
        if isinstance(body, bytes):
            path.write_bytes(body)
        else:
            write(body, path)
            self.copied += path.stat().st_size
        return False

    def extents(self, body: bytes | Stored) -> list[Extent]:
        """Puts a content into the catalogue; tells where it lies.

        Raises:
            Damaged: the content is gone.
        """
        if isinstance(body, bytes):
            return [self.catalogue.pack(body)]
        slices = plain_slices(body)
        if not slices:
            return [self._copy(body)]
        several = body if isinstance(body, FileSlices) else FileSlices(slices)
        with several.held():
            return [self._extent(piece) for piece in slices]

    def _extent(self, piece: FileSlice) -> Extent:
        number, path = self.catalogue.piece()
        return (
            Extent(number, piece.offset, piece.length) if _link(piece.path, path) else self._copy(piece, number, path)
        )

    def _copy(self, body: Stored, number: int | None = None, path: Path | None = None) -> Extent:
        if number is None or path is None:
            number, path = self.catalogue.piece()
        write(body, path)
        size = path.stat().st_size
        self.copied += size
        return Extent(number, 0, size)


def plain_slices(body: bytes | Stored) -> Sequence[FileSlice]:
    """The parts of files of this machine whose bytes are the content's own; none when there are others."""
    parts = body.slices if isinstance(body, FileSlices) else [body]
    slices = [part for part in parts if isinstance(part, FileSlice)]
    return slices if len(slices) == len(parts) else []


def _is_whole(piece: FileSlice) -> bool:
    try:
        return piece.offset == 0 and piece.path.stat().st_size == piece.length
    except FileNotFoundError:
        return False


def _link(source: Path, path: Path) -> bool:
    """Whether the file system can have, and had room for, another name for a file."""
    try:
        os.link(source, path)
    except OSError:
        return False
    return True
