from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.agent.logs import LINE_BYTES, LogWriter


def _written(chunks: list[bytes], limit_bytes: int = 1 << 30) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        log = LogWriter(Path(folder) / "log", limit_bytes)
        for chunk in chunks:
            log.feed(chunk)
        log.close()
        lines = (Path(folder) / "log").read_bytes().splitlines()
    return [line.partition(b" ")[2] for line in lines]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], [b"one", b"two"]),
        ([b"on", b"e\n"], [b"one"]),
        ([b"no end"], [b"no end"]),
        ([b"blank\n\nline\n"], [b"blank", b"", b"line"]),
        ([b"dos\r\n", b"split\r", b"\nend\n"], [b"dos", b"split", b"end"]),
        ([b"10%\r20%\r", b"30%\n"], [b"10%", b"20%", b"30%"]),
        ([b"x" * (2 * LINE_BYTES + 1) + b"\n"], [b"x" * LINE_BYTES, b"x" * LINE_BYTES, b"x"]),
        ([b"x" * (LINE_BYTES - 1), "é\n".encode()], [b"x" * (LINE_BYTES - 1), "é".encode()]),
    ],
)
def test_lines(chunks: list[bytes], lines: list[bytes]) -> None:
    assert _written(chunks) == lines


@given(st.text(alphabet="ab\n", max_size=50), st.lists(st.integers(0, 50), max_size=5))
def test_lines_do_not_depend_on_how_they_arrive(text: str, cuts: list[int]) -> None:
    data = text.encode()
    bounds = [0, *sorted(cuts), len(data)]
    chunks = [data[low:high] for low, high in itertools.pairwise(bounds)]
    assert _written(chunks) == _written([data])


def test_a_full_log_says_so_once() -> None:
    lines = _written([b"12345\n"] * 100, limit_bytes=200)
    assert sum(b"dropped" in line for line in lines) == 1
    assert lines[0] == b"12345"
    assert len(lines) < 20
