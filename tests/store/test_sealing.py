"""Encrypted contents come back as they were, or not at all."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.http import Damaged
from clary.store.keyring import KEY_BYTES, Keyring, WrongKey
from clary.store.objects.errors import CustomerKeyMissing, CustomerKeyWrong
from clary.store.objects.sealing import FRAME_BYTES, TAG_BYTES, Encryption, Opened, Seals, seal_bytes, sealed_size

KEY = bytes(range(32))
OTHER = bytes(32)
PLAIN = os.urandom(3 * FRAME_BYTES + 5)
WHOLE = FRAME_BYTES + TAG_BYTES


def opened(sealed: bytes, size: int, start: int = 0, end: int | None = None, key: bytes = KEY) -> bytes:
    length = (size if end is None else end) - start
    body = Opened(key, size, (start, length), lambda at, count: sealed[at : at + count])
    return b"".join(body.chunks())


@given(size=st.integers(0, len(PLAIN)), cuts=st.lists(st.integers(0, len(PLAIN)), max_size=3), data=st.data())
def test_ranges_come_back(size: int, cuts: list[int], data: st.DataObject) -> None:
    plain = PLAIN[:size]
    encryption = Encryption(KEY)
    bounds = [0, *sorted(min(cut, size) for cut in cuts), size]
    sealed = b"".join(encryption.update(plain[a:b]) for a, b in itertools.pairwise(bounds))
    sealed += encryption.finish()
    assert len(sealed) == sealed_size(size)
    if size:
        start = data.draw(st.integers(0, size - 1))
        end = data.draw(st.integers(start + 1, size))
        assert opened(sealed, size, start, end) == plain[start:end]


@pytest.mark.parametrize("size", [FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES])
def test_bounds_of_frames_are_no_bounds_of_ranges(size: int) -> None:
    sealed = seal_bytes(KEY, PLAIN[:size])
    for start in (0, size // 2, size - 1):
        assert opened(sealed, size, start) == PLAIN[start:size]


@pytest.mark.parametrize(
    "damage",
    [
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[: 3 * WHOLE],
        lambda sealed: sealed[:WHOLE],
        lambda sealed: sealed[:0],
        lambda sealed: sealed[WHOLE:],
        lambda sealed: sealed[WHOLE : 2 * WHOLE] + sealed[:WHOLE] + sealed[2 * WHOLE :],
        lambda sealed: sealed[:100] + bytes([sealed[100] ^ 1]) + sealed[101:],
        lambda sealed: sealed[: 2 * WHOLE] + seal_bytes(OTHER, PLAIN)[2 * WHOLE :],
    ],
)
def test_what_was_changed_is_seen(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(Damaged):
        opened(damage(seal_bytes(KEY, PLAIN)), len(PLAIN))


def test_a_shorter_content_is_not_the_beginning_of_a_longer_one() -> None:
    # The row that tells the size may be forged as well; the mark of the last frame is not.
    sealed = seal_bytes(KEY, PLAIN[: 2 * FRAME_BYTES])
    with pytest.raises(Damaged):
        opened(sealed[:WHOLE], FRAME_BYTES)


def test_the_same_bytes_look_different_each_time() -> None:
    seals = Seals(Keyring(bytes(KEY_BYTES)), encrypt=True)
    keys = [seals.new(None) for _ in range(2)]
    assert all(keys)
    sealed = {seal_bytes(key.key, PLAIN) for key in keys if key}
    assert len(sealed) == 2


def test_only_the_key_of_the_customer_opens_what_it_sealed() -> None:
    seals = Seals(Keyring(bytes(KEY_BYTES)), encrypt=False)
    assert seals.new(None) is None
    key = seals.new(KEY)
    assert key is not None
    assert seals.open(key.sealed, KEY) == key.key
    with pytest.raises(CustomerKeyMissing):
        seals.open(key.sealed, None)
    with pytest.raises(CustomerKeyWrong):
        seals.open(key.sealed, OTHER)


def test_another_key_file_opens_nothing() -> None:
    key = Seals(Keyring(KEY), encrypt=True).new(None)
    assert key is not None
    with pytest.raises(WrongKey):
        Seals(Keyring(OTHER), encrypt=True).open(key.sealed, None)
