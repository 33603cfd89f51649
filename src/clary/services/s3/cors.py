"""May a web page from elsewhere send a request, which browsers ask first, and may it read the answer.

Source: "Using cross-origin resource sharing (CORS)", Amazon S3 user guide.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from clary.services.s3.bucket import bucket_of, edit, find
from clary.services.s3.errors import (
    AccessForbidden,
    BadRequest,
    InvalidRequest,
    MalformedXML,
    NoSuchCORSConfiguration,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.api import s3 as api
    from clary.context import Context
    from clary.http import Request
    from clary.platform import Platform
    from clary.services.service import Document, Members

MAX_RULES = 100
METHODS = frozenset({"GET", "PUT", "HEAD", "POST", "DELETE"})


class Cors:
    """Answers by the CORS configuration of the bucket."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_cors(self, ctx: Context, request: api.PutBucketCorsRequest) -> None:
        """Says which pages may do what."""
        rules = request["CORSConfiguration"].get("CORSRules") or []
        if not 0 < len(rules) <= MAX_RULES:
            raise MalformedXML
        for rule in rules:
            _refuse_rule(rule)
        bucket = bucket_of(self._platform, request)
        edit(self._platform, bucket, ctx, lambda spec: spec.update(CORSConfiguration={"CORSRules": rules}))

    def get_bucket_cors(self, _: Context, request: api.GetBucketCorsRequest) -> Document:
        """Which pages may do what."""
        configuration = bucket_of(self._platform, request).spec.get("CORSConfiguration")
        if configuration is None:
            raise NoSuchCORSConfiguration("The CORS configuration does not exist", BucketName=request["Bucket"])
        return dict(configuration)

    def delete_bucket_cors(self, ctx: Context, request: api.DeleteBucketCorsRequest) -> None:
        """Lets no page from elsewhere do anything."""
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop("CORSConfiguration", None))

    def options_object(self, _: Context, request: api.OptionsObjectRequest) -> Document:
        """What the first rule that fits allows."""
        origin, method = request.get("Origin"), request.get("AccessControlRequestMethod")
        if not origin or not method:
            raise BadRequest("Insufficient information. Origin request header needed.")
        wanted = [
            name.strip().lower() for name in (request.get("AccessControlRequestHeaders") or "").split(",") if name
        ]
        for rule in bucket_of(self._platform, request).spec.get("CORSConfiguration", {}).get("CORSRules", []):
            if _fits(rule, origin, method, wanted):
                return _allowed(rule, origin, wanted)
        raise AccessForbidden("CORSResponse: This CORS request is not allowed.")


class CorsHeaders:
    """What the answer to any request tells a page from elsewhere: whether it may read it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def __call__(self, http: Request, names: Mapping[str, str]) -> dict[str, str]:
        """The headers for the request's origin, if it tells one and a rule of the bucket fits."""
        origin = http.headers.get("origin")
        if not origin or http.method == "OPTIONS" or not names.get("Bucket"):
            return {}
        bucket = find(self._platform, names["Bucket"])
        for rule in bucket.spec.get("CORSConfiguration", {}).get("CORSRules", []) if bucket is not None else []:
            if _fits(rule, origin, http.method, []):
                return {_HEADERS[name]: value for name, value in _allowed(rule, origin, []).items()}
        return {}


_HEADERS = {
    "AllowCredentials": "Access-Control-Allow-Credentials",
    "AllowMethods": "Access-Control-Allow-Methods",
    "AllowOrigin": "Access-Control-Allow-Origin",
    "ExposeHeaders": "Access-Control-Expose-Headers",
    "MaxAge": "Access-Control-Max-Age",
    "Vary": "Vary",
}


def _refuse_rule(rule: Members) -> None:
    for method in rule["AllowedMethods"]:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for element in ("AllowedOrigin", "AllowedHeader"):
        for pattern in rule.get(f"{element}s", []):
            if pattern.count("*") > 1:
                raise InvalidRequest(f'{element} "{pattern}" can not have more than one wildcard.')
    for header in rule.get("ExposeHeaders", []):
        if "*" in header:
            raise InvalidRequest(
                f'ExposeHeader "{header}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )


def _fits(rule: Document, origin: str, method: str, headers: list[str]) -> bool:
    allowed_headers = [header.lower() for header in rule.get("AllowedHeaders", [])]
    return (
        method in rule["AllowedMethods"]
        and any(fnmatchcase(origin, pattern) for pattern in rule["AllowedOrigins"])
        and all(any(fnmatchcase(header, pattern) for pattern in allowed_headers) for header in headers)
    )


def _allowed(rule: Document, origin: str, headers: list[str]) -> Document:
    everybody = "*" in rule["AllowedOrigins"]
    told: Document = {
        "AllowOrigin": "*" if everybody else origin,
        "AllowMethods": ", ".join(rule["AllowedMethods"]),
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    if not everybody:
        told["AllowCredentials"] = "true"
    if headers:
        told["AllowHeaders"] = ", ".join(headers)
    if rule.get("ExposeHeaders"):
        told["ExposeHeaders"] = ", ".join(rule["ExposeHeaders"])
    if rule.get("MaxAgeSeconds") is not None:
        told["MaxAge"] = str(rule["MaxAgeSeconds"])
    return told
