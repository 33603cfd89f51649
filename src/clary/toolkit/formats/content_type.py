"""Content types as clients send them: `text/csv; label_size=0`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
LIBSVM = "text/libsvm"
NPY = "application/x-npy"
NPZ = "application/x-npz"
PARQUET = "application/x-parquet"
RECORDIO = "application/x-recordio-protobuf"

ALIASES: Mapping[str, str] = {
    "csv": CSV,
    "text/x-csv": CSV,
    "libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "parquet": PARQUET,
    "application/parquet": PARQUET,
    "recordio-protobuf": RECORDIO,
    "application/vnd.amazon.sagemaker.recordio-protobuf": RECORDIO,
    "application/x-jsonlines": JSON_LINES,
    "application/jsonl": JSON_LINES,
}


class UnsupportedTypeError(ValueError):
    """Nobody here can read or write this content type; answered with 415 or 406."""


class MalformedDataError(ValueError):
    """The data do not follow their content type; answered with 400."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type and its parameters."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ContentType:
        """The content type of a header or a channel, its aliases resolved."""
        name, *rest = (part.strip() for part in text.split(";"))
        pairs = (part.partition("=") for part in rest if part)
        parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        return cls(ALIASES.get(name.lower(), name.lower()), parameters)


def choose(accept: str, offered: Sequence[str], default: str) -> str:
    """The type to answer with: the first of `accept` that is on offer.

    Raises:
        UnsupportedTypeError: the caller accepts nothing that is on offer.
    """
    if accept in offered:
        return accept
    for part in accept.split(","):
        name = ContentType.parse(part).name
        if name in ("*/*", ""):
            return default
        if name in offered:
            return name
    raise UnsupportedTypeError(f"Accept type {accept} is not supported; supported are {', '.join(offered)}.")
