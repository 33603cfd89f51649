"""Encryption of contents: AES-256-GCM in frames, each content under a random key of its own.

A frame is 64 KB of plain bytes and its tag; the last one may be shorter. The nonce of a frame is its number and whether
it is the last, so that frames that are missing, moved or of another content are seen, and a range needs only the frames
that it touches. The key lies in the row of the content, sealed by the platform's keyring or by the key of the customer.
Source: Hoang, Reyhanitabar, Rogaway, Vizar, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"
(the STREAM construction).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clary.http import Damaged, Stored
from clary.store.keyring import Keyring, WrongKey
from clary.store.objects.errors import CustomerKeyMissing, CustomerKeyWrong

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from clary.store.objects.files import Incoming

FRAME_BYTES = 64 << 10
TAG_BYTES = 16
KEY_BYTES = 32

Frame = bytes | memoryview

_PURPOSE = "content"
_BY_PLATFORM, _BY_CUSTOMER = b"P", b"C"


class ContentKey(NamedTuple):
    """The key of one content, as it is and as its row keeps it."""

    key: bytes
    sealed: bytes


class Seals:
    """Makes and opens the keys of contents.

    Args:
        keyring: seals the keys of contents that no customer's key seals.
        encrypt: whether contents are encrypted that no customer's key asks for.
    """

    def __init__(self, keyring: Keyring, *, encrypt: bool) -> None:
        self._keyring = keyring
        self._encrypt = encrypt

    def new(self, customer_key: bytes | None) -> ContentKey | None:
        """A key for a new content; None: it is stored as it comes."""
        if customer_key is None and not self._encrypt:
            return None
        key = secrets.token_bytes(KEY_BYTES)
        if customer_key is not None:
            return ContentKey(key, _BY_CUSTOMER + Keyring(customer_key).seal(key, _PURPOSE))
        return ContentKey(key, _BY_PLATFORM + self._keyring.seal(key, _PURPOSE))

    def open(self, sealed: bytes, customer_key: bytes | None) -> bytes:
        """The key of a content.

        Raises:
            CustomerKeyMissing: it takes the key of the customer.
            CustomerKeyWrong: that key is another one.
            WrongKey: the platform's key file is another one.
        """
        if not needs_customer(sealed):
            return self._keyring.open(sealed[1:], _PURPOSE)
        if customer_key is None:
            raise CustomerKeyMissing
        try:
            return Keyring(customer_key).open(sealed[1:], _PURPOSE)
        except WrongKey as error:
            raise CustomerKeyWrong from error

    def suits_copy(self, sealed: bytes | None) -> bool:
        """Whether a new object without a customer's key may share a content that is sealed so."""
        return not self._encrypt if sealed is None else not needs_customer(sealed)


def needs_customer(sealed: bytes) -> bool:
    """Whether only the key of a customer opens this one."""
    return sealed[:1] == _BY_CUSTOMER


def sealed_size(size: int) -> int:
    """How many bytes a content of `size` takes when it is encrypted."""
    return size + TAG_BYTES * _frames(size)


class Encryption:
    """Encrypts a content as its bytes arrive."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._number = 0
        self._rest = b""

    def update(self, data: bytes) -> bytes:
        """Takes more bytes; gives the frames that are certain not to be the last."""
        frames, self._rest = _cut(self._rest, data, FRAME_BYTES)
        return b"".join([self._seal(frame, last=False) for frame in frames])

    def finish(self) -> bytes:
        """The last frame."""
        return self._seal(self._rest, last=True)

    def _seal(self, plain: Frame, *, last: bool) -> bytes:
        nonce = _nonce(self._number, last=last)
        self._number += 1
        return self._cipher.encrypt(nonce, plain, None)


class SealedIncoming:
    """A content file that is encrypted while it is written."""

    def __init__(self, incoming: Incoming, key: bytes) -> None:
        self._incoming = incoming
        self._encryption = Encryption(key)

    def write(self, data: bytes) -> None:
        """Appends plain bytes."""
        self._incoming.write(self._encryption.update(data))

    def finish(self) -> str:
        """Makes the file complete; tells its name."""
        self._incoming.write(self._encryption.finish())
        return self._incoming.finish()

    def abandon(self) -> None:
        """Removes what was written."""
        self._incoming.abandon()


def seal_bytes(key: bytes, plain: bytes) -> bytes:
    """A small content, encrypted at once."""
    encryption = Encryption(key)
    return encryption.update(plain) + encryption.finish()


class Opened(Stored):
    """The plain bytes of a part of an encrypted content.

    Args:
        key: of the content.
        size: of the content, before it was encrypted.
        extent: where the part begins, and how long it is.
        sealed: gives the encrypted bytes at an offset, of a length.
    """

    __slots__ = ("_extent", "_key", "_sealed", "_size")

    def __init__(
        self, key: bytes, size: int, extent: tuple[int, int], sealed: Callable[[int, int], Stored | bytes]
    ) -> None:
        self._key = key
        self._size = size
        self._extent = extent
        self._sealed = sealed

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces of about a megabyte.

        Raises:
            Damaged: they are not those that were encrypted.
        """
        source, decryption = self._source()
        for chunk in (source,) if isinstance(source, bytes) else source.chunks():
            yield decryption.update(chunk)
        yield decryption.finish()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source, decryption = self._source()
        if isinstance(source, bytes):
            yield decryption.update(source)
        else:
            async for chunk in source:
                # Inline, as decrypting takes less than handing over to a thread.
                yield decryption.update(chunk)
        yield decryption.finish()

    def _source(self) -> tuple[Stored | bytes, _Decryption]:
        start, length = self._extent
        first, behind = start // FRAME_BYTES, _frames(start + length)
        begin, end = first * (FRAME_BYTES + TAG_BYTES), sealed_size(min(behind * FRAME_BYTES, self._size))
        decryption = _Decryption(self._key, first, _frames(self._size) - 1, (start - first * FRAME_BYTES, length))
        return self._sealed(begin, end - begin), decryption


class _Decryption:
    """Decrypts frames from number `first` on; passes over `skip` plain bytes and gives `left` of those behind them."""

    def __init__(self, key: bytes, first: int, last: int, extent: tuple[int, int]) -> None:
        self._cipher = AESGCM(key)
        self._number = first
        self._last = last
        self._skip, self._left = extent
        self._rest = b""

    def update(self, data: bytes) -> bytes:
        frames, self._rest = _cut(self._rest, data, FRAME_BYTES + TAG_BYTES)
        return b"".join([self._open(frame) for frame in frames])

    def finish(self) -> bytes:
        plain = self._open(self._rest) if self._rest else b""
        if self._left:
            raise Damaged(f"an encrypted content lacks {self._left} bytes")
        return plain

    def _open(self, sealed: Frame) -> bytes:
        try:
            plain = self._cipher.decrypt(_nonce(self._number, last=self._number == self._last), sealed, None)
        except InvalidTag as error:
            raise Damaged(f"frame {self._number} of an encrypted content is damaged") from error
        self._number += 1
        wanted = plain[self._skip : self._skip + self._left]
        self._skip = 0
        self._left -= len(wanted)
        return wanted


def _cut(rest: bytes, data: bytes, size: int) -> tuple[list[Frame], bytes]:
    """Frames of `size` bytes, and what is left: at least a byte, as the last frame may have that size too."""
    if len(rest) + len(data) <= size:
        return [], rest + data
    view = memoryview(data)
    begin = size - len(rest) if rest else 0
    frames: list[Frame] = [rest + view[:begin]] if rest else []
    end = begin + (len(data) - begin - 1) // size * size
    frames += [view[at : at + size] for at in range(begin, end, size)]
    return frames, bytes(view[end:])


def _frames(size: int) -> int:
    return max(1, -(-size // FRAME_BYTES))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))
