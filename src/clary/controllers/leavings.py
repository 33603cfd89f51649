"""What a workload left in its bundle, where a link, a pipe or a device may stand in the place of anything.

The workload has ended, so nothing changes any more. Its paths mean other files to the platform than they meant to it:
nothing is read that does not really lie in the bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LeadsOut(Exception):
    """A link out of the bundle stands where results should be."""


def part(bundle: Path, name: str, size: int, offset: int = 0) -> bytes:
    """Some bytes of a file, from the start or from `offset`; none when it is no plain file within the bundle."""
    path = bundle / name
    if not _within(bundle, path) or not path.is_file():
        return b""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def files(bundle: Path, folder: Path) -> Iterator[Path]:
    """Every plain file below a folder of the bundle; links are left out.

    Raises:
        LeadsOut: the folder itself, or one above it, is a link out of the bundle.
    """
    if not _within(bundle, folder):
        raise LeadsOut(f"/opt/ml/{folder.relative_to(bundle / 'ml')} is a link to what is not in /opt/ml")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _within(bundle: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(bundle.resolve())
    except (OSError, RuntimeError):  # links in a circle: the latter before Python 3.13
        return False
