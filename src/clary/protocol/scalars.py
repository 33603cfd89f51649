"""Single values as text: in headers, addresses, forms and XML."""

from __future__ import annotations

import math
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from clary.protocol import timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,19})\s*")
_FLOATS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def read_boolean(text: str) -> bool:
    """`true` or `false`, in any case; raises ValueError for anything else."""
    lowered = text.strip().lower()
    if lowered not in {"true", "false"}:
        raise ValueError(text)
    return lowered == "true"


def write_boolean(value: object) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def write_float(value: float) -> str:
    """The shortest text of a number, with the names that AWS gives to what is no number."""
    return str(number_or_name(value))


def number_or_name(value: float) -> float | str:
    """The number itself, or `Infinity`, `-Infinity` or `NaN`."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def read_float(text: str) -> float:
    """A number, or one of the names of what is none."""
    return _FLOATS[text] if text in _FLOATS else float(text)


def read_blob(text: str) -> bytes:
    """The bytes of Base64 text; raises ValueError when it is not."""
    return b64decode(text, validate=True)


def write_blob(value: bytes | str) -> str:
    """Base64 text."""
    return b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def _integer_reader(bits: int) -> Callable[[str], int]:
    limit = 1 << bits

    def read(text: str) -> int:
        match = _INTEGER.fullmatch(text)
        value = int(match[1]) if match else limit
        if not -limit <= value < limit:
            raise ValueError(text)
        return value

    return read


INTEGER_BITS = {"integer": 31, "long": 63}

READERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "character": str,
    "integer": _integer_reader(INTEGER_BITS["integer"]),
    "long": _integer_reader(INTEGER_BITS["long"]),
    "float": read_float,
    "double": read_float,
    "boolean": read_boolean,
    "timestamp": timestamps.parse,
    "blob": read_blob,
}
"""By type; each raises ValueError for text of another type."""

WRITERS: dict[str, Callable[[Any], str]] = {
    "integer": str,
    "long": str,
    "float": write_float,
    "double": write_float,
    "boolean": write_boolean,
    "blob": write_blob,
}
"""By type; a type that is missing is text already."""
