"""Identifiers and secrets as AWS forms them.

Source: "Unique identifiers" in the IAM user guide.
"""

from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_uppercase + "234567"
_SECRET = string.ascii_letters + string.digits + "+/"


def unique_id(prefix: str, length: int = 17) -> str:
    """A new identifier, e.g. `AIDA` and 17 characters for a user."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def access_key_id(prefix: str = "AKIA") -> str:
    """A new access key: `AKIA` for long-term, `ASIA` for temporary ones."""
    return unique_id(prefix, 16)


def secret_access_key() -> str:
    """A new secret of 40 characters."""
    return "".join(secrets.choice(_SECRET) for _ in range(40))


def canonical_user_id(account: str) -> str:
    """How S3 names an account: 64 hexadecimal digits that stand for it."""
    return f"{int(account or 0):064x}"
