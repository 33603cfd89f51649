"""Signatures of version 4 in the query of a URL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote_plus

from clary.auth import errors
from clary.auth.errors import Family
from clary.errors import AccessDenied, ServiceError

_MAX_EXPIRES_S = 7 * 24 * 3600
_MAX_DIGITS = 20
"""No number that means something is longer; Python refuses to read very long ones."""
_V4_REQUIRED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")


@dataclass(frozen=True, slots=True)
class PresignedV4:
    """A version 4 signature as the query carries it."""

    access_key: str
    date: str
    region: str
    service: str
    date_time: str
    expires_s: int
    headers: str
    token: str
    signature: str
    query: str
    """The query without the signature."""


def parse_v4(query: str, family: Family) -> PresignedV4:
    """The signature in `query`.

    Raises:
        ServiceError: a part is missing or unreadable.
    """
    pairs = [part.partition("=") for part in query.split("&")]
    values = {name: unquote_plus(value) for name, _, value in pairs if name.startswith("X-Amz-")}
    if any(name not in values for name in _V4_REQUIRED) or (family is Family.S3 and "X-Amz-Expires" not in values):
        raise _unreadable(
            family,
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if values["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        raise _unreadable(family, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
    scope = values["X-Amz-Credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise _unreadable(family, "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed.")
    return PresignedV4(
        access_key=scope[0],
        date=scope[1],
        region=scope[2],
        service=scope[3],
        date_time=values["X-Amz-Date"],
        expires_s=_expires_s(values.get("X-Amz-Expires", "900"), family),
        headers=values["X-Amz-SignedHeaders"],
        token=values.get("X-Amz-Security-Token", ""),
        signature=values["X-Amz-Signature"],
        query="&".join("".join(pair) for pair in pairs if pair[0] != "X-Amz-Signature"),
    )


def refuse_expired(signed: PresignedV4, moment: datetime, now: datetime, family: Family) -> None:
    """Accepts a presigned URL only in its time.

    Raises:
        ServiceError: its time is over, or has not begun.
    """
    expires = moment + timedelta(seconds=signed.expires_s)
    if moment > now + errors.MAX_SKEW:
        raise AccessDenied("Request is not valid yet") if family is Family.S3 else errors.skewed(family, moment, now)
    if now > expires:
        if family is not Family.S3:
            raise errors.skewed(family, moment, now)
        raise errors.presigned_expired(expires, now, **{"X-Amz-Expires": str(signed.expires_s)})


def _expires_s(text: str, family: Family) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _unreadable(family, "X-Amz-Expires should be a number")
    if len(text) > _MAX_DIGITS or int(text) > _MAX_EXPIRES_S:
        raise _unreadable(family, "X-Amz-Expires must be less than a week (in seconds); that is, the given "
                                  "X-Amz-Expires must be less than 604800 seconds")  # fmt: skip
    return int(text)


def _unreadable(family: Family, message: str) -> ServiceError:
    if family is Family.S3:
        return errors.AuthorizationQueryParametersError(message)
    return errors.malformed(family, message)
