"""The key that seals secrets at rest: those of access keys, and the keys of encrypted objects.

Whoever copies the database or the objects without this file can read neither.
"""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
NONCE_BYTES = 12


class UnusableKey(ValueError):
    """The key file does not serve."""


class WrongKey(UnusableKey):
    """What was sealed cannot be opened: another key sealed it, or for another purpose, or it was changed."""


class Keyring:
    """Seals and opens small secrets with AES-256-GCM."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def at(cls, path: Path) -> Keyring:
        """The keyring of a key file, which is made, readable by its owner alone, when it is not there.

        Raises:
            UnusableKey: the file can be read by others, or holds no key.
        """
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise UnusableKey(f"others may read the key file {path}; chmod 600 it")
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise UnusableKey(f"the key file {path} does not hold {KEY_BYTES} bytes")
        return cls(key)

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """The secret, readable by `open` only, and only for the same purpose."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """What was sealed.

        Raises:
            WrongKey: this key did not seal it for this purpose.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise WrongKey(f"cannot open a sealed {purpose.partition(':')[0]}; is this the right key file?") from error

    def seal_text(self, secret: str, purpose: str) -> str:
        """`seal` for records, which keep text."""
        return base64.b64encode(self.seal(secret.encode(), purpose)).decode()

    def open_text(self, sealed: str, purpose: str) -> str:
        """What was sealed as text.

        Raises:
            WrongKey: this key did not seal it for this purpose.
        """
        return self.open(base64.b64decode(sealed), purpose).decode()


def _make(path: Path) -> None:
    """Writes a fresh key that is complete, and on the disk, before it bears its name; another process may be first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(KEY_BYTES))
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
