"""Tables as the monitor sees them: columns of text, whose types are found out by looking."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INTEGRAL, FRACTIONAL, STRING, UNKNOWN = "Integral", "Fractional", "String", "Unknown"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one feature; missing ones are None."""

    name: str
    values: Sequence[Any]

    @property
    def present(self) -> list[str]:
        """The values that are not missing, as text."""
        return [_text(value) for value in self.values if not _missing(value)]

    def kinds(self) -> dict[str, int]:
        """How many values are of each type."""
        counts = {INTEGRAL: 0, FRACTIONAL: 0, STRING: 0}
        for text in self.present:
            counts[_kind(text)] += 1
        return counts

    def inferred_type(self) -> str:
        """The narrowest type that all values have."""
        counts = self.kinds()
        if not any(counts.values()):
            return UNKNOWN
        if counts[STRING]:
            return STRING
        return FRACTIONAL if counts[FRACTIONAL] else INTEGRAL

    def numbers(self) -> NDArray[np.float64]:
        """The values that are numbers."""
        return np.array([float(text) for text in self.present if _kind(text) != STRING], np.float64)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns of rows that may differ in their keys."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [Column(name, [row.get(name) for row in rows]) for name in names]


def read_files(source: Path, dataset_format: Mapping[str, Any]) -> list[Column]:
    """The columns of all files below a folder in the format of the job.

    Raises:
        ValueError: the format is not supported, or there are no files.
    """
    files = [path for path in sorted([source] if source.is_file() else source.rglob("*")) if path.is_file()]
    if not files:
        raise ValueError(f"No data found below {source}.")
    for name, read in READERS.items():
        if name in dataset_format:
            frame = pd.concat([read(path, dataset_format[name] or {}) for path in files], ignore_index=True)
            return [Column(str(label), frame[label].tolist()) for label in frame.columns]
    raise ValueError(f"Dataset format {json.dumps(dataset_format)} is not supported.")


def _read_csv(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:
    header = 0 if options.get("header", True) else None
    frame = pd.read_csv(path, header=header, dtype=str, keep_default_na=False, skipinitialspace=True)
    return frame if header == 0 else frame.rename(columns=lambda index: f"_c{index}")


def _read_json(path: Path, _options: Mapping[str, Any]) -> pd.DataFrame:
    text = path.read_text(encoding="utf-8").strip()
    documents = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return pd.DataFrame([flatten(document) for document in documents], dtype=object)


def _read_parquet(path: Path, _options: Mapping[str, Any]) -> pd.DataFrame:
    return pd.read_parquet(path).astype(object)


READERS = {"csv": _read_csv, "json": _read_json, "parquet": _read_parquet}


def flatten(document: Any, prefix: str = "") -> dict[str, Any]:
    """A JSON document as one row: `{"a": {"b": [1, 2]}}` has the columns `a.b.0` and `a.b.1`."""
    parts: Iterable[tuple[Any, Any]]
    if isinstance(document, Mapping):
        parts = document.items()
    elif isinstance(document, list):
        parts = enumerate(document)
    else:
        return {prefix: document}
    row: dict[str, Any] = {}
    for key, value in parts:
        row |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return row


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))


def _text(value: Any) -> str:
    return str(value).strip()


def _kind(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return STRING
    if not np.isfinite(number):
        return STRING
    return INTEGRAL if text.lstrip("+-").isdigit() else FRACTIONAL
