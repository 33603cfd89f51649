from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.agent.gzip_writer import BLOCK_BYTES, ParallelGzip


@given(st.lists(st.integers(0, BLOCK_BYTES * 2), max_size=4), st.integers(1, 3))
def test_what_is_written_in_pieces_is_read_as_one_stream(sizes: list[int], threads: int) -> None:
    pieces = [(b"%d-" % number * (size // 3 + 1))[:size] for number, size in enumerate(sizes)]
    target = io.BytesIO()
    with ParallelGzip(target, 1, threads) as packed:
        for piece in pieces:
            assert packed.write(piece) == len(piece)
    assert gzip.decompress(target.getvalue()) == b"".join(pieces)


class Full(io.BytesIO):
    def write(self, _: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_told() -> None:
    with pytest.raises(OSError, match="No space left"), ParallelGzip(Full(), 1) as packed:
        packed.write(bytes(8 * BLOCK_BYTES))


def test_a_stream_that_broke_off_is_not_closed_as_if_it_were_whole() -> None:
    target = io.BytesIO()
    with pytest.raises(KeyError), ParallelGzip(target, 1) as packed:
        packed.write(b"half")
        raise KeyError
    with pytest.raises((EOFError, zlib.error)):
        gzip.GzipFile(fileobj=io.BytesIO(target.getvalue() or b"\x1f\x8b\x08")).read()
