"""Where the statements of a policy document are written, as the policy simulator tells it.

A statement begins, there, where the text before it ends: after the bracket, or the statement before it. Source:
positions in answers of the simulator, as people have published them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.services.service import Document

_BLANKS = re.compile(r"[ \t\r\n]*")


def of_statement(text: str, index: int) -> Document:
    """StartPosition and EndPosition of a statement of a valid document."""
    start, end = _spans(text)[index]
    return {"StartPosition": _position(text, start), "EndPosition": _position(text, end)}


def _spans(text: str) -> list[tuple[int, int]]:
    decoder = json.JSONDecoder()
    at = _skip(text, _skip(text, 0) + 1)
    while True:
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == "Statement":
            return _statements(text, at, decoder)
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)


def _statements(text: str, at: int, decoder: json.JSONDecoder) -> list[tuple[int, int]]:
    if text[at] != "[":
        return [(at + 1, decoder.raw_decode(text, at)[1])]
    spans = []
    start = at + 1
    while text[at] != "]":
        _, end = decoder.raw_decode(text, _skip(text, at + 1))
        spans.append((start, end))
        start, at = end, _skip(text, end)
    return spans


def _skip(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _position(text: str, at: int) -> dict[str, int]:
    return {"Line": text.count("\n", 0, at) + 1, "Column": at - text.rfind("\n", 0, at)}
