from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clary.toolkit.formats.content_type import MalformedDataError
from clary.toolkit.formats.matrices import labels, stack
from clary.toolkit.formats.recordio import Record, Tensor, read_frames, read_records, write_frame, write_records

floats = arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e6, 1e6, width=32))


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_frames_round_trip(payloads: list[bytes]) -> None:
    framed = b"".join(map(write_frame, payloads))
    assert [bytes(frame) for frame in read_frames(framed)] == payloads
    assert len(framed) % 4 == 0


@given(st.lists(floats, min_size=1, max_size=4), st.floats(-100, 100, width=32))
def test_dense_records_round_trip(rows: list[np.ndarray], label: float) -> None:
    records = [Record({"values": Tensor(row)}, {"values": Tensor(np.array([label], np.float32))}) for row in rows]
    read = list(read_records(write_records(records)))
    for before, after in zip(rows, read, strict=True):
        np.testing.assert_array_equal(before, after.features["values"].values)
    assert labels(read).tolist() == [label] * len(rows)


def test_sparse_records_become_a_sparse_matrix() -> None:
    rows = [
        Tensor(np.array([1.0, 2.0], np.float32), np.array([0, 3]), (5,)),
        Tensor(np.array([7.0], np.float32), np.array([4]), (5,)),
    ]
    read = list(read_records(write_records(Record({"values": row}) for row in rows)))
    matrix = stack([record.features["values"] for record in read])
    assert matrix.toarray().tolist() == [[1, 0, 0, 2, 0], [0, 0, 0, 0, 7]]


def test_bytes_of_the_published_layout() -> None:
    """The message as the protobuf encoding prescribes it, built by hand."""
    values = struct.pack("<2f", 1.5, -2.0)
    tensor = b"\x0a" + bytes([len(values)]) + values
    value = b"\x12" + bytes([len(tensor)]) + tensor
    entry = b"\x0a\x06values" + b"\x12" + bytes([len(value)]) + value
    payload = b"\x0a" + bytes([len(entry)]) + entry
    frame = struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)
    assert write_records([Record({"values": Tensor(np.array([1.5, -2.0], np.float32))})]) == frame


def test_unpacked_values_are_read_too() -> None:
    tensor = b"\x0d" + struct.pack("<f", 1.0) + b"\x0d" + struct.pack("<f", 2.0)
    value = b"\x12" + bytes([len(tensor)]) + tensor
    entry = b"\x0a\x06values" + b"\x12" + bytes([len(value)]) + value
    (record,) = read_records(write_frame(b"\x0a" + bytes([len(entry)]) + entry))
    assert record.features["values"].values.tolist() == [1.0, 2.0]


@given(st.binary(min_size=1, max_size=40))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedDataError):
        list(read_records(data))


@given(st.binary(min_size=1, max_size=40))
def test_frames_of_other_bytes_never_crash(data: bytes) -> None:
    with contextlib.suppress(MalformedDataError, KeyError):
        list(read_records(write_frame(data)))
