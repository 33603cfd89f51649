"""Captured inference records on their way to S3: appended at once, taken away in batches."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Spool:
    """Files of JSON lines, one for each endpoint and variant.

    A line is in the file before the caller of the endpoint has its answer; a batch that was taken but not shipped when
    the process ended is found again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, endpoint: tuple[str, str, str], variant: str, line: bytes) -> None:
        """Adds one record."""
        path = self._path(endpoint, variant)
        try:
            file = path.open("ab", buffering=0)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab", buffering=0)
        with file:
            file.write(line + b"\n")

    def take(self, endpoint: tuple[str, str, str]) -> list[tuple[str, Path]]:
        """What there is to ship, as (variant, file); the caller deletes each file once it is in S3."""
        folder = self._folder.joinpath(*endpoint)
        for path in folder.glob("*.open"):
            path.rename(path.with_suffix(f".{uuid.uuid4().hex}.batch"))
        return [(path.name.split(".")[0], path) for path in sorted(folder.glob("*.batch"))]

    def _path(self, endpoint: tuple[str, str, str], variant: str) -> Path:
        return self._folder.joinpath(*endpoint, f"{variant}.open")
