"""Who may reach the registry of images: passwords for container tools, and links to single layers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import orjson

from clary.store.layers import Repository

if TYPE_CHECKING:
    from clary.auth.credentials import Credentials
    from clary.context import Principal
    from clary.store.keyring import Keyring

PREFIX = "/v2/"
"""Where every registry of images is, on whatever host."""

USER = "AWS"
VALID = timedelta(hours=12)
LINK_VALID = timedelta(hours=1)
_PURPOSE = "layer link"


class Visitor(NamedTuple):
    """Who knows a password, and the region whose registry it opens."""

    principal: Principal
    region: str


def password(credentials: Credentials, principal: Principal, region: str) -> str:
    """What stands for a principal in the registry of a region, as long as the principal is there.

    It holds the token of a session but not its secret, so that it opens nothing but the registry.
    """
    session = credentials.issue(principal, VALID)
    return base64.urlsafe_b64encode(orjson.dumps([session["AccessKeyId"], session["SessionToken"], region])).decode()


def visitor(credentials: Credentials, user: str, word: str, now: datetime) -> Visitor | None:
    """Who stands behind a user name and password; None when nobody does, or not any more."""
    try:
        access_key, token, region = map(str, orjson.loads(base64.urlsafe_b64decode(word)))
    except (ValueError, TypeError):
        return None
    credential = credentials.find(access_key, token) if user == USER and token else None
    if credential is None or (credential.expires is not None and credential.expires <= now):
        return None
    return Visitor(credential.principal, region)


def link(keyring: Keyring, place: Repository, digest: str, now: datetime) -> str:
    """The path and query from which anybody may fetch a layer for an hour."""
    sealed = keyring.seal(orjson.dumps([*place, digest, (now + LINK_VALID).timestamp()]), _PURPOSE)
    token = base64.urlsafe_b64encode(sealed).decode()
    return f"{PREFIX}{place.name}/blobs/{digest}?token={token}"


def linked(keyring: Keyring, token: str, now: datetime) -> tuple[Repository, str] | None:
    """The layer to which a link of ours leads, while it does."""
    try:
        fields = orjson.loads(keyring.open(base64.urlsafe_b64decode(token), _PURPOSE))
    except ValueError:
        return None
    account, region, name, digest, until = fields
    if datetime.fromtimestamp(until, UTC) <= now:
        return None
    return Repository(account, region, name), digest
