"""The canonical form of a request, which is what signature version 4 signs."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from clary.errors import AccessDenied

if TYPE_CHECKING:
    from clary.http import Request

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.~-]*")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.~-]*")


class SignedHeaders(NamedTuple):
    """The names of the headers that a signature covers."""

    text: str
    """Parted by semicolons."""
    names: tuple[str, ...]
    covered: frozenset[str]
    """The names, and that of the header that need not be among them."""

    @classmethod
    def of(cls, text: str) -> SignedHeaders:
        """The names in a signature."""
        names = tuple(text.split(";"))
        return cls(text, names, frozenset((*names, "x-amz-content-sha256")))


def request(http: Request, signed_headers: SignedHeaders, payload: str, raw_query: str, *, s3: bool) -> str:
    """The canonical request; `raw_query` is the query without a signature in it.

    Raises:
        AccessDenied: a header that must be signed is not.
    """
    headers = http.headers
    lines = [f"{name}:{_trimmed(headers.get(name, ''))}\n" for name in signed_headers.names]
    _refuse_unsigned(headers, signed_headers)
    return (
        f"{http.method}\n{path(http.path, s3=s3)}\n{query(raw_query) if raw_query else ''}\n"
        f"{''.join(lines)}\n{signed_headers.text}\n{payload}"
    )


def path(raw: str, *, s3: bool) -> str:
    """The canonical path: encoded once for S3, normalised and encoded twice for all others."""
    if s3:
        return raw if _PLAIN_PATH.fullmatch(raw) else quote(unquote_to_bytes(raw), safe="/-_.~")
    if raw in ("", "/"):
        return "/"
    normal = normpath(raw).replace("//", "/")
    return quote(normal + "/" if raw.endswith("/") and normal != "/" else normal, safe="/-_.~")


def query(raw: str) -> str:
    """The canonical query: pairs encoded in one way, sorted by name, then value."""
    pairs = []
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_encoded(name), _encoded(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encoded(text: str) -> str:
    return text if _PLAIN_VALUE.fullmatch(text) else quote(unquote_to_bytes(text), safe="-_.~")


def _trimmed(value: str) -> str:
    return " ".join(value.split()) if "  " in value else value.strip()


def _refuse_unsigned(headers: dict[str, str], signed_headers: SignedHeaders) -> None:
    unsigned = [name for name in sorted(headers.keys() - signed_headers.covered) if name.startswith("x-amz-")]
    if "host" not in signed_headers.covered:
        unsigned.append("host")
    if unsigned:
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(unsigned)
        )
