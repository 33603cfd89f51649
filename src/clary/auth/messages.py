"""Encoded authorization messages: why a call was refused, readable by those only who may decode it.

Source: "DecodeAuthorizationMessage", AWS STS API reference.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any

import orjson

from clary.store.keyring import Keyring, WrongKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.auth.authorize import Ruling
    from clary.context import Principal

_PURPOSE = "authorization message"


def told(keyring: Keyring, principal: Principal, ruling: Ruling) -> str:
    """What EC2 adds to a refusal."""
    return f" Encoded authorization failure message: {encode(keyring, principal, ruling)}"


def encode(keyring: Keyring, principal: Principal, ruling: Ruling) -> str:
    """The message that a refused caller gets."""
    check, decision = ruling.check, ruling.decision
    statement = decision.statement
    matched = [{"statementId": statement.sid, "effect": "DENY"}] if statement is not None else []
    message = {
        "allowed": decision.allowed,
        "explicitDeny": decision.explicit,
        "matchedStatements": {"items": matched},
        "failures": {"items": []},
        "context": {
            "principal": {"id": principal.user_id, "name": principal.name, "arn": principal.arn},
            "action": check.action,
            "resource": check.resource,
            "conditions": {"items": _conditions(check.keys)},
        },
    }
    return base64.urlsafe_b64encode(keyring.seal(zlib.compress(orjson.dumps(message)), _PURPOSE)).decode().rstrip("=")


def decode(keyring: Keyring, message: str) -> str | None:
    """The JSON text of a message, None when it was not encoded here."""
    try:
        sealed = base64.b64decode(message + "=" * (-len(message) % 4), altchars=b"-_", validate=True)
        return zlib.decompress(keyring.open(sealed, _PURPOSE)).decode()
    except (binascii.Error, ValueError, WrongKey):
        return None


def _conditions(keys: Mapping[str, str | Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {"key": key, "values": {"items": [{"value": value} for value in _values(values)]}}
        for key, values in keys.items()
    ]


def _values(values: str | Sequence[str]) -> Sequence[str]:
    return (values,) if isinstance(values, str) else values
