from __future__ import annotations

import io
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.controllers.records_split import MAGIC, SplitError, pack, split


def frame(payload: bytes, flag: int = 0) -> bytes:
    return struct.pack("<II", MAGIC, flag << 29 | len(payload)) + payload + bytes(-len(payload) % 4)


def test_lines_keep_their_ends_and_empty_ones_are_left_out() -> None:
    assert list(split(io.BytesIO(b"a,1\n\nb,2\r\nc,3"), "Line")) == [b"a,1\n", b"b,2\r\n", b"c,3"]


def test_an_object_that_is_not_split_is_one_record() -> None:
    assert list(split(io.BytesIO(b"a\nb\n"), "None")) == [b"a\nb\n"]
    assert list(split(io.BytesIO(b""), "None")) == []


@given(st.lists(st.binary(max_size=40)))
def test_recordio_is_cut_between_its_frames(payloads: list[bytes]) -> None:
    frames = [frame(payload) for payload in payloads]
    assert list(split(io.BytesIO(b"".join(frames)), "RecordIO")) == frames


def test_frames_of_one_record_stay_together() -> None:
    record = frame(b"one", 1) + frame(b"two", 2) + frame(b"three", 3)
    assert list(split(io.BytesIO(record + frame(b"next")), "RecordIO")) == [record, frame(b"next")]


@pytest.mark.parametrize("content", [b"no recordio at all", frame(b"cut off")[:-2], frame(b"begun", 1), b"abc"])
def test_damaged_recordio_is_refused(content: bytes) -> None:
    with pytest.raises(SplitError):
        list(split(io.BytesIO(content), "RecordIO"))


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(20, 60))
def test_requests_are_full_but_not_too_large(records: list[bytes], most: int) -> None:
    batches = list(pack(records, most, several=True))
    assert [record for batch in batches for record in batch] == records
    assert all(batch and sum(map(len, batch)) <= most for batch in batches)
    for batch, following in itertools.pairwise(batches):
        assert sum(map(len, batch)) + len(following[0]) > most


def test_single_records_go_alone() -> None:
    assert list(pack([b"a", b"b"], 100, several=False)) == [[b"a"], [b"b"]]


def test_without_a_limit_all_go_together() -> None:
    assert list(pack([b"a" * 99, b"b"], 0, several=True)) == [[b"a" * 99, b"b"]]


def test_a_record_that_fits_no_request_is_refused() -> None:
    with pytest.raises(SplitError, match="MaxPayloadInMB"):
        list(pack([b"a" * 11], 10, several=True))
