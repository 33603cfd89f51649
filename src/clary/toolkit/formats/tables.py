"""Tables of numbers as text: CSV and libsvm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.formats.content_type import MalformedDataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[Any]
Float32 = NDArray[np.float32]

DELIMITERS = (",", "\t", ";", "|", " ")


def read_csv(text: str) -> Float32:
    """Rows of numbers without a header; an empty cell is not-a-number.

    Raises:
        MalformedDataError: a cell is no number, or the rows differ in length.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise MalformedDataError("The CSV data hold no rows.")
    delimiter = next((mark for mark in DELIMITERS if mark in lines[0]), ",")
    rows = [line.split(delimiter) for line in lines]
    try:
        return np.array(rows, dtype=np.float32)
    except ValueError:
        return _lenient(rows)


def _lenient(rows: list[list[str]]) -> Float32:
    width = len(rows[0])
    for number, row in enumerate(rows):
        if len(row) != width:
            raise MalformedDataError(f"Row {number} of the CSV data has {len(row)} columns, the first has {width}.")
    try:
        return np.array([[cell.strip().strip('"') or "nan" for cell in row] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise MalformedDataError(f"The CSV data hold a cell that is no number: {error}") from error


def write_csv(values: Array) -> str:
    """Rows joined by newlines, each one ended by a newline."""
    rows = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
    return "".join(f"{','.join(map(str, row))}\n" for row in rows.tolist())


def read_libsvm(text: str, *, labelled: bool = True) -> tuple[csr_matrix, Float32, Float32 | None]:
    """Sparse rows, labels and (where lines say `label:weight`) weights; indexes are taken as they stand.

    Raises:
        MalformedDataError: a line is not `label index:value ...`.
    """
    from scipy.sparse import csr_matrix  # noqa: PLC0415  # takes 0.1 s, and most servers never see libsvm

    labels: list[float] = []
    weights: list[float] = []
    columns: list[int] = []
    values: list[float] = []
    starts = [0]
    for number, line in enumerate(line for line in text.splitlines() if line.strip()):
        cells = line.partition("#")[0].split()
        try:
            if labelled or ":" not in cells[0]:
                label, _, weight = cells.pop(0).partition(":")
                labels.append(float(label))
                weights.append(float(weight) if weight else 1.0)
            for column, _, value in (cell.partition(":") for cell in cells if not cell.startswith("qid:")):
                columns.append(int(column))
                values.append(float(value))
        except ValueError as error:
            raise MalformedDataError(f"Line {number} of the libsvm data is malformed: {error}") from error
        starts.append(len(columns))
    if len(starts) == 1:
        raise MalformedDataError("The libsvm data hold no rows.")
    matrix = csr_matrix((np.array(values, np.float32), columns, starts), shape=(len(starts) - 1, _width(columns)))
    weighted = np.array(weights, np.float32) if any(weight != 1 for weight in weights) else None
    return matrix, np.array(labels, np.float32), weighted


def _width(columns: list[int]) -> int:
    return max(columns, default=0) + 1
