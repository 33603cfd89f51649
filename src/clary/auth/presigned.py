"""Signatures in the query of a URL: version 4 of any service, version 2 of S3."""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from clary.auth import errors
from clary.auth.errors import Family
from clary.errors import AccessDenied, ServiceError

if TYPE_CHECKING:
    from clary.http import Request

_MAX_EXPIRES_S = 7 * 24 * 3600
_V4_REQUIRED = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")
_SUBRESOURCES = frozenset(
    (
        *("accelerate", "acl", "analytics", "cors", "delete", "inventory", "lifecycle", "location", "logging"),
        *("metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires", "restore", "select"),
        *("select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning"),
        *("versions", "website"),
    )
)
"""The query parameters that signature version 2 covers."""
_BUCKET_HOST = re.compile(r"(.+)\.s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com")


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


@dataclass(frozen=True, slots=True)
class PresignedV2:
    """A version 2 signature as the query carries it."""

    access_key: str
    expires: int
    token: str
    signature: str
    string_to_sign: str


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


def parse_v2(http: Request, s3_domain: str) -> PresignedV2:
    """The version 2 signature in the query, and what it must sign.

    Raises:
        ServiceError: a part is missing or unreadable.
    """
    pairs = [part.partition("=") for part in http.query.split("&")]
    values = {name: unquote(value) for name, _, value in pairs}
    expires = values.get("Expires", "")
    if not expires.isdigit():
        raise AccessDenied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    token = values.get("x-amz-security-token", "")
    string_to_sign = "\n".join(
        [
            http.method,
            http.headers.get("content-md5", ""),
            http.headers.get("content-type", ""),
            expires,
            *_amz_headers(http, values),
            _resource(http, pairs, s3_domain),
        ]
    )
    return PresignedV2(values["AWSAccessKeyId"], int(expires), token, values["Signature"], string_to_sign)


def signature_v2(secret: str, text: str) -> str:
    """The version 2 signature of `text`."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def _amz_headers(http: Request, values: dict[str, str]) -> list[str]:
    """Headers and, since a URL carries them too, query parameters that begin with `x-amz-`."""
    merged = {name: value for name, value in values.items() if name.startswith("x-amz-")}
    merged.update({name: value.strip() for name, value in http.headers.items() if name.startswith("x-amz-")})
    return [f"{name}:{merged[name]}" for name in sorted(merged)]


def _resource(http: Request, pairs: list[tuple[str, str, str]], s3_domain: str) -> str:
    signed = sorted((name, sign, value) for name, sign, value in pairs if name in _SUBRESOURCES)
    query = "&".join(f"{name}{sign}{unquote(value)}" for name, sign, value in signed)
    bucket = bucket_of_host(http.headers.get("host", ""), s3_domain)
    path = f"/{bucket}{http.path}" if bucket else http.path
    return f"{path}?{query}" if query else path


def bucket_of_host(host: str, s3_domain: str) -> str:
    """The bucket that a host name tells, or nothing."""
    name = host.partition(":")[0]
    if s3_domain and name.endswith(f".{s3_domain}"):
        return name[: -len(s3_domain) - 1]
    match = _BUCKET_HOST.fullmatch(name)
    return match[1] if match else ""


def _expires_s(text: str, family: Family) -> int:
    if not text.isdigit():
        raise _unreadable(family, "X-Amz-Expires should be a number")
    if int(text) > _MAX_EXPIRES_S:
        raise _unreadable(family, "X-Amz-Expires must be less than a week (in seconds); that is, the given "
                                  "X-Amz-Expires must be less than 604800 seconds")  # fmt: skip
    return int(text)


def _unreadable(family: Family, message: str) -> ServiceError:
    if family is Family.S3:
        return errors.AuthorizationQueryParametersError(message)
    return errors.malformed(family, message)
