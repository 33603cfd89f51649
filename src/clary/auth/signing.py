"""The keys of signature version 4."""

from __future__ import annotations

import hmac
from typing import NamedTuple


class Scope(NamedTuple):
    """Where and when a signing key is valid."""

    date: str
    region: str
    service: str

    def text(self) -> str:
        """The scope as signatures write it."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class SigningKey:
    """The key that signs requests of one day, region and service."""

    def __init__(self, secret: str, scope: Scope) -> None:
        key = f"AWS4{secret}".encode()
        for part in (*scope, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        # To take the key in costs more than to sign: it is done once, and copied.
        self._ready = hmac.new(key, digestmod="sha256")

    def sign(self, text: str) -> str:
        """The signature of a text, in hexadecimal."""
        signing = self._ready.copy()
        signing.update(text.encode())
        return signing.hexdigest()


def same(wanted: str, given: str) -> bool:
    """Compares without telling by the time it takes where the difference lies."""
    return hmac.compare_digest(wanted.encode(), given.encode())
