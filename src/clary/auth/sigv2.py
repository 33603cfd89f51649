"""Signature version 2 of S3, in the Authorization header or in the query of a URL.

Source: "Signing and authenticating REST requests (AWS signature version 2)", Amazon S3 user guide.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from clary.auth import errors
from clary.auth.errors import Family
from clary.bucket_host import bucket_host
from clary.errors import AccessDenied

if TYPE_CHECKING:
    from clary.http import Request

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
"""The query parameters that the signature covers."""

_MAX_DIGITS = 20
"""No time is longer; Python refuses to read very long numbers."""


@dataclass(frozen=True, slots=True)
class SignedV2:
    """A version 2 signature and what it must sign."""

    access_key: str
    token: str
    signature: str
    strings_to_sign: tuple[str, ...]
    """Any of them will do."""
    moment: datetime | None
    """When it was made; None in a URL."""


def of_query(http: Request, s3_domain: str, now: datetime) -> SignedV2:
    """The signature in the query.

    Raises:
        AccessDenied: a part is missing or unreadable, or its time is over.
    """
    values = {name: unquote(value) for name, _, value in _pairs(http.query)}
    expires = values.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= _MAX_DIGITS):
        raise AccessDenied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    if int(expires) < now.timestamp():
        raise errors.presigned_expired(datetime.fromtimestamp(int(expires), UTC), now)
    amz = {name: value for name, value in values.items() if name.startswith("x-amz-")}
    texts = _strings_to_sign(http, expires, amz, s3_domain)
    token = values.get("x-amz-security-token") or http.headers.get("x-amz-security-token", "")
    return SignedV2(values["AWSAccessKeyId"], token, values["Signature"], texts, None)


def of_header(http: Request, authorization: str, s3_domain: str, now: datetime) -> SignedV2:
    """The signature in an Authorization header that begins with `AWS `.

    Raises:
        ServiceError: a part is missing or unreadable, or the clocks differ too much.
    """
    access_key, separator, signature = authorization.removeprefix("AWS ").strip().partition(":")
    if not (access_key and separator and signature):
        raise errors.InvalidArgument("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
    date, amz_date = http.headers.get("date", ""), http.headers.get("x-amz-date", "")
    moment = _moment(amz_date or date)
    if abs(now - moment) > errors.MAX_SKEW:
        raise errors.skewed(Family.S3, moment, now)
    texts = _strings_to_sign(http, "" if amz_date else date, {}, s3_domain)
    return SignedV2(access_key, http.headers.get("x-amz-security-token", ""), signature, texts, moment)


def signature(secret: str, text: str) -> str:
    """The signature of `text`."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode("latin-1", "replace"), "sha1")).decode()


def _strings_to_sign(http: Request, date: str, amz: dict[str, str], s3_domain: str) -> tuple[str, ...]:
    amz.update({name: value.strip() for name, value in http.headers.items() if name.startswith("x-amz-")})
    headers = [f"{name}:{amz[name]}" for name in sorted(amz)]
    beside = (http.headers.get("content-md5", ""), http.headers.get("content-type", ""), date)
    return tuple("\n".join([http.method, *beside, *headers, each]) for each in _resources(http, s3_domain))


def _resources(http: Request, s3_domain: str) -> list[str]:
    signed = sorted((name, sign, value) for name, sign, value in _pairs(http.query) if name in _SUBRESOURCES)
    query = "&".join(f"{name}{sign}{unquote(value)}" for name, sign, value in signed)
    bucket = bucket_host(http.headers.get("host", ""), s3_domain).bucket
    path = f"/{bucket}{http.path}" if bucket else http.path
    # Clients of AWS sign a bucket with a slash behind it, also where the path has none.
    paths = [path, f"{path}/"] if path.count("/") == 1 and path != "/" else [path]
    return [f"{each}?{query}" if query else each for each in paths]


def _pairs(query: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in query.split("&") if part]


def _moment(text: str) -> datetime:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
