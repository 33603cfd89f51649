from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from clary.errors import RequestEntityTooLarge
from clary.http import BytesBody, FileBody, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Chunks:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def test_a_body_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    assert asyncio.run(read(Chunks(b"a", b"b"), 10)) == b"ab"
    assert asyncio.run(read(BytesBody(b"c"), 10)) == b"c"
    assert len(asyncio.run(read(FileBody(tmp_path / "f"), 4_000_000))) == 3_000_000


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(RequestEntityTooLarge):
        asyncio.run(read(Chunks(b"12345", b"67890", b"!"), 10))
