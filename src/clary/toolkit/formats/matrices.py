"""Feature matrices of requests to numeric models: CSV, libsvm and RecordIO-protobuf, dense or sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.formats import content_type as types
from clary.toolkit.formats.recordio import Record, Tensor, read_records
from clary.toolkit.formats.tables import read_csv, read_libsvm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

Matrix = Any
"""A two-dimensional float32 array or a `scipy.sparse.csr_matrix`, which has no types."""

FEATURE_KEY = "values"


def read_matrix(body: bytes, content_type: str) -> Matrix:
    """The feature rows of a request.

    Raises:
        UnsupportedTypeError: the type is none of csv, libsvm and recordio-protobuf.
        MalformedDataError: the body does not follow its type.
    """
    name = types.ContentType.parse(content_type).name
    if name == types.RECORDIO:
        return stack([record.features[FEATURE_KEY] for record in read_records(body)])
    if name not in (types.CSV, types.LIBSVM):
        raise types.UnsupportedTypeError(f"Content type {content_type} is not supported.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise types.MalformedDataError("The body is not UTF-8 text.") from error
    return read_csv(text) if name == types.CSV else read_libsvm(text, labelled=False)[0]


def labels(records: Sequence[Record]) -> NDArray[np.float32]:
    """The first label value of each record."""
    try:
        return np.array([record.label[FEATURE_KEY].values[0] for record in records], np.float32)
    except (KeyError, IndexError) as error:
        raise types.MalformedDataError("A record has no label 'values'.") from error


def stack(tensors: Sequence[Tensor]) -> Matrix:
    """Rows as one matrix, sparse when the rows are."""
    if not tensors:
        raise types.MalformedDataError("The data hold no records.")
    if tensors[0].keys is not None:
        return _sparse(tensors)
    if len({len(tensor.values) for tensor in tensors}) > 1:
        raise types.MalformedDataError("The records differ in their number of features.")
    return np.stack([tensor.values for tensor in tensors]).astype(np.float32, copy=False)


def _sparse(tensors: Sequence[Tensor]) -> csr_matrix:
    from scipy.sparse import csr_matrix  # noqa: PLC0415  # takes 0.1 s, and most servers never see sparse rows

    keys = [tensor.keys if tensor.keys is not None else np.arange(len(tensor.values)) for tensor in tensors]
    starts = np.concatenate([[0], np.cumsum([len(tensor.values) for tensor in tensors])])
    columns, values = np.concatenate(keys), np.concatenate([tensor.values for tensor in tensors])
    widths = [tensor.shape[-1] for tensor in tensors if tensor.shape]
    width = max([*widths, int(columns.max(initial=-1)) + 1])
    return csr_matrix((values.astype(np.float32), columns, starts), shape=(len(tensors), width))
