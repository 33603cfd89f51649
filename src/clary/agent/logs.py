"""The workload's output, kept as lines with the time of their arrival."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LINE_BYTES = 256 * 1024
"""The longest line; CloudWatch Logs takes events of this size."""

# A carriage return alone ends a line too, because progress bars use nothing else.
_LINE_END = re.compile(rb"\r*\n|\r+(?!\n|\r|\Z)")


class LogWriter:
    """Appends `<milliseconds> <line>` to a file until `limit_bytes` are written."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._left = limit_bytes
        self._full = False
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Write the lines that `data` completes."""
        lines = _LINE_END.split(self._tail + data)
        self._tail = lines.pop()
        while len(self._tail) > LINE_BYTES:
            end = _character_boundary(self._tail)
            lines.append(self._tail[:end])
            self._tail = self._tail[end:]
        self._write(lines)

    def say(self, line: str) -> None:
        """Write a line of the agent itself."""
        self._write([line.encode()])

    def close(self) -> None:
        """Write what is left without an end of line."""
        if self._tail:
            self._write([self._tail.removesuffix(b"\r")])
        os.close(self._descriptor)

    def _write(self, lines: list[bytes]) -> None:
        if not lines or self._full:
            return
        stamp = b"%d " % (time.time() * 1000)
        text = b"".join(stamp + piece + b"\n" for line in lines for piece in _pieces(line))
        if len(text) > self._left:
            end = text.rfind(b"\n", 0, self._left) + 1
            text = text[:end] + stamp + b"[clary] the log is full; further output is dropped\n"
            self._full = True
        self._left -= len(text)
        try:
            while text:
                text = text[os.write(self._descriptor, text) :]
        except OSError:
            # A full disk ends the log, not the workload.
            self._full = True


def _pieces(line: bytes) -> list[bytes]:
    pieces = []
    while len(line) > LINE_BYTES:
        end = _character_boundary(line)
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def _character_boundary(line: bytes) -> int:
    """The end of the last whole UTF-8 character within a line's limit."""
    end = LINE_BYTES
    while end > LINE_BYTES - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return end
