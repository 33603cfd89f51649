"""Session tokens: they carry, sealed, all there is to know about a session, so that none needs to be stored.

The secret of a temporary access key follows from the key and the seal, hence a restart loses nothing and a busy
platform writes nothing. Whoever holds the seal can make sessions: it stays in the store.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from clary.auth.identifiers import access_key_id
from clary.context import Principal, PrincipalKind

_MAC_BYTES = 32
_ADDED: tuple[object, ...] = ([], "", None, {}, "", "")
"""What tokens of version 0.1 lack: they end after the tags, and are not compressed."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open session token.

    `run` names the workload to which it was handed; `holder` is the unique id of the user or role that must go on
    being there, empty for that of the principal itself.
    """

    principal: Principal
    secret: str
    expires: datetime
    run: str = ""
    holder: str = ""


def issue(seal: bytes, principal: Principal, expires: datetime, run: str = "", holder: str = "") -> dict[str, Any]:
    """New temporary credentials for `principal`, as STS returns them."""
    access_key = access_key_id("ASIA")
    fields = [
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
        list(principal.transitive_tags),
        principal.source_identity,
        principal.mfa_at.timestamp() if principal.mfa_at else None,
        dict(principal.session_keys),
        run,
        holder,
    ]
    payload = zlib.compress(orjson.dumps(fields))
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
    fields = orjson.loads(payload if payload.startswith(b"[") else zlib.decompress(payload))
    if fields[0] != access_key:
        return None
    return _session(fields if len(fields) > 10 else [*fields, *_ADDED], _secret(seal, access_key))


def _session(fields: list[Any], secret: str) -> Session:
    key, expires, kind, account, arn, user_id, name, role_arn, policies, tags = fields[:10]
    transitive, source_identity, mfa_at, keys, run, holder = fields[10:]
    principal = Principal(
        PrincipalKind(kind), account, arn, user_id, name, role_arn, key, tuple(policies), tags, tuple(transitive),
        source_identity, datetime.fromtimestamp(mfa_at, UTC) if mfa_at is not None else None, keys,
    )  # fmt: skip
    return Session(principal, secret, datetime.fromtimestamp(expires, UTC), run, holder)


def _secret(seal: bytes, access_key: str) -> str:
    digest = hmac.digest(seal, f"secret of {access_key}".encode(), "sha256")
    return base64.b64encode(digest)[:40].decode()
