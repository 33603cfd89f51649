"""The training data of an algorithm."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.algorithms.errors import ClientError
from clary.toolkit.formats import content_type as types
from clary.toolkit.formats.matrices import FEATURE_KEY, labels, stack
from clary.toolkit.formats.recordio import read_records
from clary.toolkit.formats.tables import DELIMITERS, read_libsvm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from clary.toolkit.job import Job

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples: `features` has a row each (dense, or a `scipy.sparse.csr_matrix`)."""

    features: Any
    labels: Float32 | None = None
    weights: Float32 | None = None

    def __len__(self) -> int:
        return int(self.features.shape[0])


@dataclass(frozen=True, slots=True)
class Reading:
    """How an algorithm reads its channels."""

    default: str
    """The content type of a channel that does not say."""
    accepted: tuple[str, ...]
    labelled: bool = True
    """Whether the first column of a table is the label, unless the content type has `label_size`."""
    weighted: bool = False
    """Whether the column after the label is the weight of the example."""


def read_channel(job: Job, name: str, reading: Reading) -> Dataset | None:
    """All examples of a channel, or None when the job has no such channel.

    Raises:
        ClientError: the content type is not accepted, or a file does not follow it.
    """
    if name not in job.channels:
        return None
    content_type = types.ContentType.parse(job.channels[name].get("ContentType") or reading.default)
    if content_type.name not in reading.accepted:
        accepted = ", ".join(reading.accepted)
        raise ClientError(f"Channel {name!r}: content type {content_type.name} is not supported; supported: {accepted}")
    contents = _contents(job, name)
    if not any(contents):
        raise ClientError(f"Channel {name!r} holds no data.")
    label_size = int(content_type.parameters.get("label_size", reading.labelled))
    try:
        return _join([READERS[content_type.name](content, label_size, reading.weighted) for content in contents])
    except (types.MalformedDataError, ValueError, UnicodeDecodeError) as error:
        raise ClientError(f"Channel {name!r} could not be read as {content_type.name}: {error}") from error


def _contents(job: Job, name: str) -> list[bytes]:
    """The files of a channel; in Pipe mode the stream of the first epoch, which is kept for the others."""
    stream = job.layout.channel(f"{name}_0")
    if job.channels[name].get("TrainingInputMode") == "Pipe" and stream.exists():
        return [stream.read_bytes()]
    return [path.read_bytes() for path in sorted(job.layout.channel(name).rglob("*")) if _holds_data(path)]


def _holds_data(path: Path) -> bool:
    return path.is_file() and not path.name.startswith((".", "_")) and path.stat().st_size > 0


def _read_csv(content: bytes, label_size: int, weighted: bool) -> Dataset:
    first = content.partition(b"\n")[0].decode()
    delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
    frame = pd.read_csv(io.BytesIO(content), header=None, sep=delimiter, dtype=np.float32)
    return _split(frame.to_numpy(np.float32), label_size, weighted)


def _read_parquet(content: bytes, label_size: int, weighted: bool) -> Dataset:
    return _split(pd.read_parquet(io.BytesIO(content)).to_numpy(np.float32), label_size, weighted)


def _read_libsvm(content: bytes, _label_size: int, _weighted: bool) -> Dataset:
    return Dataset(*read_libsvm(content.decode()))


def _read_recordio(content: bytes, label_size: int, _weighted: bool) -> Dataset:
    records = list(read_records(content))
    features = stack([record.features[FEATURE_KEY] for record in records])
    return Dataset(features, labels(records) if label_size and any(record.label for record in records) else None)


READERS: dict[str, Callable[[bytes, int, bool], Dataset]] = {
    types.CSV: _read_csv,
    types.PARQUET: _read_parquet,
    types.LIBSVM: _read_libsvm,
    types.RECORDIO: _read_recordio,
}


def _split(table: Float32, label_size: int, weighted: bool) -> Dataset:
    if label_size > 1:
        raise ClientError(f"label_size={label_size} is not supported; it may be 0 or 1.")
    if not label_size:
        return Dataset(table)
    first = 2 if weighted else 1
    return Dataset(table[:, first:], table[:, 0], table[:, 1] if weighted else None)


def _join(parts: Sequence[Dataset]) -> Dataset:
    if len(parts) == 1:
        return parts[0]
    if hasattr(parts[0].features, "tocsr"):
        features = _stack_sparse([part.features for part in parts])
    else:
        features = np.concatenate([part.features for part in parts])
    return Dataset(features, _concatenate([p.labels for p in parts]), _concatenate([p.weights for p in parts]))


def _stack_sparse(matrices: Sequence[Any]) -> Any:
    from scipy.sparse import vstack  # noqa: PLC0415  # takes 0.1 s, and most jobs never see sparse rows

    width = max(matrix.shape[1] for matrix in matrices)
    return vstack([widen(matrix, width) for matrix in matrices], format="csr")


def widen(matrix: Any, width: int) -> Any:
    """A sparse matrix with empty columns added up to `width`; dense ones stay as they are."""
    if hasattr(matrix, "tocsr") and matrix.shape[1] < width:
        matrix = matrix.copy()
        matrix.resize((matrix.shape[0], width))
    return matrix


def _concatenate(parts: Sequence[Float32 | None]) -> Float32 | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if len(present) == len(parts) else None
