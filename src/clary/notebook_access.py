"""Who may open a notebook instance in a browser: links that work once, and the sessions they begin.

A link holds a random token of which the record keeps a digest only; the session is a cookie signed with a secret that
the record gets anew at each start, so that stopping an instance ends its sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from clary.store.records import Record

PREFIX = "/_clary/notebook/"
"""An underscore cannot begin the name of a bucket, so this takes no path from S3."""

TOKEN = "authToken"  # noqa: S105  # the name of a query parameter, as in AWS's links
COOKIE = "clary-notebook"
LINK_VALID = timedelta(minutes=5)
SESSION = timedelta(hours=12)

LINKS = "Links"
SIGNING_SECRET = "SessionSecret"  # noqa: S105  # the name of a member


class LinkRefused(Exception):
    """The link was used before, is too old or was never given out."""


def base_path(record: Record) -> str:
    """The path below which a notebook instance is reached."""
    return f"{PREFIX}{record.region}/{record.name}/"


def with_link(record: Record, token: str, session: timedelta, now: datetime) -> Record:
    """The record that accepts `token` once within five minutes; links that are too old are forgotten."""
    moment = now.timestamp()
    links = {digest: link for digest, link in record.observed.get(LINKS, {}).items() if link[0] > moment}
    links[_digest(token)] = [moment + LINK_VALID.total_seconds(), session.total_seconds()]
    return replace(record, observed={**record.observed, LINKS: links})


def without_link(record: Record, token: str, now: datetime) -> Record:
    """The record once a link was used.

    Raises:
        LinkRefused: it cannot be used (any more).
    """
    session_s(record, token, now)
    links = {digest: link for digest, link in record.observed[LINKS].items() if digest != _digest(token)}
    return replace(record, observed={**record.observed, LINKS: links})


def session_s(record: Record, token: str, now: datetime) -> int:
    """How long the session that a link begins may last.

    Raises:
        LinkRefused: it cannot be used (any more).
    """
    link = record.observed.get(LINKS, {}).get(_digest(token))
    if link is None or link[0] <= now.timestamp():
        raise LinkRefused
    return int(link[1])


def new_token() -> str:
    """A token for a link."""
    return secrets.token_urlsafe(32)


def session(record: Record, now: datetime, seconds: int) -> str:
    """The value of the cookie of a new session."""
    expires = int(now.timestamp()) + seconds
    return f"{expires}.{_signature(record, expires)}"


def admits(record: Record, value: str, now: datetime) -> bool:
    """Whether the value of a cookie is a session that has not ended."""
    expires, _, signature = value.partition(".")
    if not expires.isdecimal() or int(expires) <= now.timestamp() or SIGNING_SECRET not in record.observed:
        return False
    return hmac.compare_digest(signature.encode(), _signature(record, int(expires)).encode())


def _signature(record: Record, expires: int) -> str:
    key = str(record.observed[SIGNING_SECRET]).encode()
    return hmac.new(key, f"{record.arn} {expires}".encode(), hashlib.sha256).hexdigest()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
