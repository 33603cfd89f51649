"""Real data sets in the formats of training channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from clary.toolkit.formats.recordio import Record, Tensor, write_records

if TYPE_CHECKING:
    from tests.toolkit.container import Container

Array = NDArray[Any]


class Split:
    """A data set split in two, always in the same way."""

    def __init__(self, data: tuple[Array, Array]) -> None:
        rows, labels = data[0].astype(np.float32), data[1].astype(np.float32)
        self.rows, self.other_rows, self.labels, self.other_labels = train_test_split(rows, labels, random_state=0)

    def write(self, container: Container, *, other: str = "validation", labelled: bool = True) -> None:
        """Write the parts as CSV channels `train` and `other`."""
        for name, rows, labels in (("train", self.rows, self.labels), (other, self.other_rows, self.other_labels)):
            container.write(f"input/data/{name}/part.csv", csv(rows, labels if labelled else None))


def csv(rows: Array, labels: Array | None = None) -> str:
    """Rows as CSV, the label first."""
    table = rows if labels is None else np.column_stack([labels, rows])
    return "".join(f"{','.join(map(repr, map(float, row)))}\n" for row in table)


def recordio(rows: Array, labels: Array) -> bytes:
    """Rows as RecordIO-protobuf."""
    return write_records(
        Record({"values": Tensor(row)}, {"values": Tensor(np.array([label], np.float32))})
        for row, label in zip(rows, labels, strict=True)
    )


def libsvm(rows: Array, labels: Array) -> str:
    """Rows as libsvm, zeros left out."""
    lines = (
        f"{label:g} {' '.join(f'{column}:{float(value)!r}' for column, value in enumerate(row) if value)}"
        for row, label in zip(rows, labels, strict=True)
    )
    return "".join(f"{line}\n" for line in lines)
