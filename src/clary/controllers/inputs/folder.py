"""The files of one channel as they come, and which of them need not be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.controllers.inputs.shelf import plain_slices
from clary.http import FileSlice

if TYPE_CHECKING:
    from pathlib import Path

    from clary.controllers.inputs.shelf import Shelf
    from clary.controllers.staging import Content
    from clary.http import Stored

FEW_FILES = 256
FEW_BYTES = 8 << 20
"""So many small objects are written out."""


class Folder:
    """Puts the files of one channel where they belong.

    Args:
        shelf: that of the bundle.
        name: what the channel is called there.
        tree: where files lie that are linked, written out or copied.
        showable: whether the workload can be shown what is not in its folder.
        links: whether that may be links to content files.
    """

    def __init__(self, shelf: Shelf, name: str, tree: Path, *, showable: bool, links: bool) -> None:
        self._shelf = shelf
        self._name = name
        self._tree = tree
        self._showable = showable
        self._links = links
        self._small: list[tuple[str, Content, bytes]] = []
        self._small_bytes = 0
        self._linked = 0
        self.served = 0
        tree.mkdir(parents=True, exist_ok=True)

    @property
    def is_shown(self) -> bool:
        """Whether there is anything that has to be shown, because it was not copied."""
        return self._linked + self.served > 0

    def add(self, name: str, content: Content) -> None:
        """Takes a file over."""
        body = content.body
        if isinstance(body, bytes) and self._showable:
            self._small.append((name, content, body))
            self._small_bytes += len(body)
            if len(self._small) > FEW_FILES or self._small_bytes > FEW_BYTES or self.served:
                self._serve_small()
        elif self._showable and plain_slices(body) and not (self._links and isinstance(body, FileSlice)):
            self._shelf.catalogue.file(f"{self._name}/{name}", self._shelf.extents(body), content.modified)
            self.served += 1
        else:
            self._put(name, body)

    def finish(self) -> None:
        """Writes out what has been kept back."""
        for name, _, body in self._small:
            self._put(name, body)

    def _put(self, name: str, body: bytes | Stored) -> None:
        self._linked += self._shelf.put(body, self._tree / name, link=self._links)

    def _serve_small(self) -> None:
        for name, content, body in self._small:
            self._shelf.catalogue.file(f"{self._name}/{name}", [self._shelf.catalogue.pack(body)], content.modified)
        self.served += len(self._small)
        self._small.clear()
