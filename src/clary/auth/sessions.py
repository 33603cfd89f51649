"""Session tokens: they carry, sealed, all there is to know about a session, so that none needs to be stored.

The secret of a temporary access key follows from the key and the seal, hence a restart loses nothing and a busy
platform writes nothing. Whoever holds the seal can make sessions: it stays in the store.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from clary.auth.identifiers import access_key_id
from clary.context import Principal, PrincipalKind

_MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """An open session token."""

    principal: Principal
    secret: str
    expires: datetime


def issue(seal: bytes, principal: Principal, expires: datetime) -> dict[str, Any]:
    """New temporary credentials for `principal`, as STS returns them."""
    access_key = access_key_id("ASIA")
    payload = orjson.dumps(
        [
            access_key,
            int(expires.timestamp()),
            principal.kind.value,
            principal.account,
            principal.arn,
            principal.user_id,
            principal.name,
            principal.role_arn,
            list(principal.session_policies),
            dict(principal.session_tags),
        ]
    )
    token = base64.b64encode(hmac.digest(seal, payload, "sha256") + payload).decode()
    return {
        "AccessKeyId": access_key,
        "SecretAccessKey": _secret(seal, access_key),
        "SessionToken": token,
        "Expiration": expires.replace(microsecond=0),
    }


def open_token(seal: bytes, access_key: str, token: str) -> Session | None:
    """The session behind a token, None when it was not issued for this key with this seal."""
    try:
        sealed = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, payload = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
    if not hmac.compare_digest(mac, hmac.digest(seal, payload, "sha256")):
        return None
    key, expires, kind, account, arn, user_id, name, role_arn, policies, tags = orjson.loads(payload)
    if key != access_key:
        return None
    principal = Principal(PrincipalKind(kind), account, arn, user_id, name, role_arn, access_key, tuple(policies), tags)
    return Session(principal, _secret(seal, access_key), datetime.fromtimestamp(expires, UTC))


def _secret(seal: bytes, access_key: str) -> str:
    digest = hmac.digest(seal, f"secret of {access_key}".encode(), "sha256")
    return base64.b64encode(digest)[:40].decode()
