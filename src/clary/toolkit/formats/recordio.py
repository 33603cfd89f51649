"""RecordIO framing and the protobuf `Record` of SageMaker's algorithms.

A record is framed by a magic number, its length and zeros up to a multiple of four bytes. The payload is a protobuf
message of two maps, features and label, from a name to a tensor. (AWS page "Common data formats for training",
section "Protobuf RecordIO format".)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.formats.content_type import MalformedDataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAGIC = 0xCED7230A
HEADER = struct.Struct("<II")
LENGTH_MASK = (1 << 29) - 1

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FEATURES, LABEL = 1, 2
FLOAT32_TENSOR, FLOAT64_TENSOR, INT32_TENSOR, BYTES_VALUE = 2, 3, 7, 9
VALUES, KEYS, SHAPE = 1, 2, 3
TENSOR_TYPES: Mapping[int, str] = {FLOAT32_TENSOR: "<f4", FLOAT64_TENSOR: "<f8"}

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Numbers of one feature or label; with `keys` they are the cells of a sparse row of the given shape."""

    values: Array
    keys: Array | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One example."""

    features: Mapping[str, Tensor] = field(default_factory=dict)
    label: Mapping[str, Tensor] = field(default_factory=dict)


def read_records(data: bytes | memoryview) -> Iterator[Record]:
    """The records of a RecordIO file or request body.

    Raises:
        MalformedDataError: the bytes are no RecordIO-protobuf.
    """
    for payload in read_frames(data):
        try:
            yield _record(payload)
        except (IndexError, struct.error, ValueError) as error:
            raise MalformedDataError(f"A record is no protobuf Record: {error}") from error


def write_records(records: Iterable[Record]) -> bytes:
    """The RecordIO-protobuf form of records."""
    return b"".join(write_frame(_encode_record(record)) for record in records)


def read_frames(data: bytes | memoryview) -> Iterator[memoryview]:
    """The payloads of a RecordIO stream."""
    view, position = memoryview(data), 0
    while position < len(view):
        if len(view) - position < HEADER.size:
            raise MalformedDataError("The RecordIO data end inside a header.")
        magic, length = HEADER.unpack_from(view, position)
        length &= LENGTH_MASK
        start = position + HEADER.size
        if magic != MAGIC or start + length > len(view):
            raise MalformedDataError("The data are not in RecordIO format.")
        yield view[start : start + length]
        position = start + length + (-length % 4)


def write_frame(payload: bytes) -> bytes:
    """A payload with its RecordIO frame."""
    return HEADER.pack(MAGIC, len(payload)) + payload + b"\0" * (-len(payload) % 4)


def _record(payload: memoryview) -> Record:
    features: dict[str, Tensor] = {}
    label: dict[str, Tensor] = {}
    for number, value in _fields(payload):
        if number in (FEATURES, LABEL):
            name, tensor = _entry(value)
            (features if number == FEATURES else label)[name] = tensor
    return Record(features, label)


def _entry(payload: memoryview) -> tuple[str, Tensor]:
    members = dict(_fields(payload))
    for number, value in _fields(members[2]):
        if number in TENSOR_TYPES or number == INT32_TENSOR:
            return bytes(members[1]).decode(), _tensor(number, value)
    raise ValueError("only Float32, Float64 and Int32 tensors are supported")


def _tensor(kind: int, payload: memoryview) -> Tensor:
    values: list[Array] = []
    keys: list[Array] = []
    shape: list[Array] = []
    for number, value in _fields(payload):
        if number == VALUES and kind in TENSOR_TYPES:
            values.append(np.frombuffer(value, TENSOR_TYPES[kind]))
        else:
            {VALUES: values, KEYS: keys, SHAPE: shape}.get(number, []).append(_integers(value))
    joined = np.concatenate(values) if values else np.empty(0, np.float32)
    return Tensor(joined, np.concatenate(keys) if keys else None, tuple(int(n) for part in shape for n in part))


def _fields(payload: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message: number and raw bytes, single numbers as if they were packed."""
    position = 0
    while position < len(payload):
        tag, position = _varint(payload, position)
        kind, start = tag & 7, position
        if kind == BYTES:
            length, start = _varint(payload, position)
            position = start + length
        elif kind == VARINT:
            _, position = _varint(payload, position)
        elif kind in (FIXED32, FIXED64):
            position += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} is unknown")
        if position > len(payload):
            raise ValueError("a field ends behind its message")
        yield tag >> 3, payload[start:position]


def _varint(payload: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = payload[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _integers(payload: memoryview) -> Array:
    numbers, position = [], 0
    while position < len(payload):
        number, position = _varint(payload, position)
        numbers.append(number - (1 << 64) if number >> 63 else number)
    return np.array(numbers, np.int64)


def _encode_record(record: Record) -> bytes:
    maps = ((FEATURES, record.features), (LABEL, record.label))
    return b"".join(_encode_entry(number, name, tensor) for number, map_ in maps for name, tensor in map_.items())


def _encode_entry(number: int, name: str, tensor: Tensor) -> bytes:
    kind, values = _encode_values(tensor.values)
    body = _block(VALUES, values)
    if tensor.keys is not None:
        body += _block(KEYS, _encode_integers(tensor.keys))
    if tensor.shape:
        body += _block(SHAPE, _encode_integers(tensor.shape))
    return _block(number, _block(1, name.encode()) + _block(2, _block(kind, body)))


def _encode_values(values: Array) -> tuple[int, bytes]:
    if values.dtype.kind in "iub":
        return INT32_TENSOR, _encode_integers(values)
    if values.dtype == np.float64:
        return FLOAT64_TENSOR, values.astype("<f8").tobytes()
    return FLOAT32_TENSOR, values.astype("<f4").tobytes()


def _encode_integers(values: Iterable[int]) -> bytes:
    return b"".join(_encode_varint(int(value) & ((1 << 64) - 1)) for value in values)


def _block(number: int, payload: bytes) -> bytes:
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(payload)) + payload


def _encode_varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
