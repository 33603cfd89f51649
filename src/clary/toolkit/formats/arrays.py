"""Bodies of requests and replies as arrays: CSV, JSON, npy and npz."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.formats import content_type as types
from clary.toolkit.formats.tables import read_csv, write_csv

Array = NDArray[Any]


def read_array(body: bytes | str, content_type: str) -> Any:
    """The array of a request body; text formats become 32-bit floats as in AWS's containers.

    Raises:
        UnsupportedTypeError: the type is none of npy, npz, csv and json.
        MalformedDataError: the body does not follow its type.
    """
    name = types.ContentType.parse(content_type).name
    if name == types.CSV:
        return read_csv(_text(body))
    raw = body.encode() if isinstance(body, str) else body
    try:
        if name == types.JSON:
            return np.array(json.loads(raw), dtype=np.float32)
        if name in (types.NPY, types.NPZ):
            return _load(raw)
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise types.MalformedDataError(f"The body is not valid {name}: {error}") from error
    raise types.UnsupportedTypeError(f"Content type {content_type} is not supported by this framework.")


def write_array(values: Any, accept: str) -> bytes | str:
    """The reply body for predictions.

    Raises:
        UnsupportedTypeError: the type is none of npy, csv and json.
    """
    name = types.ContentType.parse(accept).name
    if name == types.JSON:
        return json.dumps(values.tolist() if hasattr(values, "tolist") else values)
    array = np.asarray(values)
    if name == types.CSV:
        return write_csv(array)
    if name == types.NPY:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()
    raise types.UnsupportedTypeError(f"Accept type {accept} is not supported by this framework.")


def _load(raw: bytes) -> Any:
    loaded = np.load(io.BytesIO(raw), allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    arrays = [loaded[name] for name in loaded.files]
    return arrays[0] if len(arrays) == 1 else arrays


def _text(body: bytes | str) -> str:
    try:
        return body if isinstance(body, str) else body.decode()
    except UnicodeDecodeError as error:
        raise types.MalformedDataError("The body is not UTF-8 text.") from error
