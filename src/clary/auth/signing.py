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


def signing_key(secret: str, scope: Scope) -> bytes:
    """The key that signs requests of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def same(wanted: str, given: str) -> bool:
    """Compares without telling by the time it takes where the difference lies."""
    return hmac.compare_digest(wanted.encode(), given.encode())
