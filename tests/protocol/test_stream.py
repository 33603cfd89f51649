from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.protocol.errors import IncompleteBody, InvalidChunkSizeError
from clary.protocol.stream import AwsChunkedBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clary.errors import ServiceError


class Pieces:
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def cut(content: bytes, cuts: list[int]) -> Pieces:
    places = sorted({0, len(content), *(place % (len(content) + 1) for place in cuts)})
    return Pieces(*(content[start:end] for start, end in zip(places, [*places[1:], len(content)], strict=True)))


def framed(chunks: list[bytes], trailers: dict[str, str], signature: str = "") -> bytes:
    extension = f";chunk-signature={signature}" if signature else ""
    parts = [f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    tail = "".join(f"{name}:{value}\r\n" for name, value in trailers.items())
    return b"".join(parts) + f"0{extension}\r\n{tail}\r\n".encode()


async def content_of(body: AwsChunkedBody) -> bytes:
    return b"".join([piece async for piece in body])


CHUNKS = st.lists(st.binary(min_size=1, max_size=200), max_size=5)
TRAILERS = st.dictionaries(st.sampled_from(["x-amz-checksum-crc32", "x-amz-checksum-sha256"]), st.just("AAAAAA=="))
CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(CHUNKS, TRAILERS, CUTS)
def test_content_and_trailers_however_the_body_is_cut(
    chunks: list[bytes], trailers: dict[str, str], cuts: list[int]
) -> None:
    body = AwsChunkedBody(cut(framed(chunks, trailers), cuts), decoded_bytes=sum(map(len, chunks)))
    assert asyncio.run(content_of(body)) == b"".join(chunks)
    assert body.trailers == trailers


@given(CHUNKS, TRAILERS, CUTS)
def test_signed_chunks_are_verified_in_order(chunks: list[bytes], trailers: dict[str, str], cuts: list[int]) -> None:
    seen: list[tuple[str, str]] = []
    signed_trailers: list[tuple[str, str]] = []
    content = framed(chunks, {**trailers, "x-amz-trailer-signature": "t"}, "s")
    body = AwsChunkedBody(
        cut(content, cuts),
        lambda digest, signature: seen.append((digest, signature)),
        lambda digest, signature: signed_trailers.append((digest, signature)),
    )
    assert asyncio.run(content_of(body)) == b"".join(chunks)
    assert seen == [(hashlib.sha256(chunk).hexdigest(), "s") for chunk in [*chunks, b""]]
    canonical = "".join(f"{name}:{value}\n" for name, value in trailers.items())
    assert signed_trailers == [(hashlib.sha256(canonical.encode()).hexdigest(), "t")]


@given(CHUNKS.filter(bool), st.integers(1, 500))
def test_a_body_that_ends_early_is_refused(chunks: list[bytes], lost: int) -> None:
    content = framed(chunks, {})
    kept = content[: max(0, len(content) - 2 - lost)]
    with pytest.raises((IncompleteBody, InvalidChunkSizeError)):
        asyncio.run(content_of(AwsChunkedBody(Pieces(kept), decoded_bytes=sum(map(len, chunks)))))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", IncompleteBody),
        (b"zz\r\n", InvalidChunkSizeError),
        (b"-1\r\n", InvalidChunkSizeError),
        (b"3\r\nabcd\r\n0\r\n\r\n", InvalidChunkSizeError),
        (b"f" * 40 + b"\r\n", InvalidChunkSizeError),
        (b"1" * 20_000, InvalidChunkSizeError),
        (b"3\r\nabc\r\n0\r\nno colon\r\n\r\n", IncompleteBody),
        (b"2\r\nab\r\n0\r\n\r\n", IncompleteBody),
    ],
)
def test_wrong_framing(content: bytes, error: type[ServiceError]) -> None:
    with pytest.raises(error):
        asyncio.run(content_of(AwsChunkedBody(Pieces(content), decoded_bytes=3)))


def test_the_last_line_end_may_be_missing() -> None:
    body = AwsChunkedBody(Pieces(b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAA"))
    assert asyncio.run(content_of(body)) == b"abc"
    assert body.trailers == {"x-amz-checksum-crc32": "AAAA"}


def test_pieces_within_a_chunk_are_not_copied() -> None:
    piece = bytes(1000)

    async def pieces() -> list[bytes]:
        return [part async for part in AwsChunkedBody(Pieces(b"7d0\r\n", piece, piece, b"\r\n0\r\n\r\n"))]

    first, second = asyncio.run(pieces())
    assert first is piece
    assert second is piece
