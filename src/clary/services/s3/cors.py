"""May a web page from elsewhere send a request: the question that browsers ask first."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from clary.services.s3.bucket import bucket_of
from clary.services.s3.errors import AccessForbidden, BadRequest

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document


class Cors:
    """Answers by the CORS configuration of the bucket."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

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
