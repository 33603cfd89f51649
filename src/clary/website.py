"""Websites of buckets: GetObject by nobody, with an index, redirects, and errors that people can read.

Source: "Hosting a static website using Amazon S3", Amazon S3 user guide.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from html import escape, unescape
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from clary.bucket_host import WEBSITE_PREFIX, bucket_host
from clary.http import BytesBody, Request, Response
from clary.services.s3.bucket import find
from clary.services.s3.website import CONFIGURATION, redirect_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.platform import Platform
    from clary.services.s3.website import Redirect
    from clary.services.service import Document

Handle = Callable[[Request], Awaitable[Response]]

_HTML = "text/html; charset=utf-8"
_PASSED_ON = ("if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "origin", "range", "user-agent")
"""The headers of a browser that count; whoever signs something is nobody here."""
_SANDBOX = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"
"""Below a path, pages share their host with notebooks; their scripts must not use a reader's session there."""
_ELEMENT = re.compile(rb"<(\w+)>([^<]*)</\1>")
_NO_WEBSITE = {
    "Code": "NoSuchWebsiteConfiguration",
    "Message": "The specified bucket does not have a website configuration",
}
_NO_BUCKET = {"Code": "NoSuchBucket", "Message": "The specified bucket does not exist"}
_NO_METHOD = {"Code": "MethodNotAllowed", "Message": "The specified method is not allowed against this resource."}


class WebsitePage:
    """Answers browsers; `handle` is how the platform answers requests to its API."""

    def __init__(self, platform: Platform, handle: Handle) -> None:
        self._platform = platform
        self._handle = handle

    async def __call__(self, http: Request) -> Response:
        """The page at a website's host, or below the path for websites."""
        visit = _Visit.of(http, self._platform.settings.s3_domain)
        response = await self._answer(http, visit)
        if not visit.has_host:
            response.headers["content-security-policy"] = _SANDBOX
        return response

    async def _answer(self, http: Request, visit: _Visit) -> Response:
        bucket = find(self._platform, visit.bucket)
        configuration = bucket.spec.get(CONFIGURATION) if bucket is not None else None
        if bucket is None:
            return _error(404, {**_NO_BUCKET, "BucketName": visit.bucket})
        if configuration is None:
            return _error(404, {**_NO_WEBSITE, "BucketName": visit.bucket})
        if http.method not in ("GET", "HEAD"):
            return _error(405, _NO_METHOD)
        redirect = redirect_of(configuration, visit.key)
        return visit.redirected(redirect) if redirect else await self._page(visit, configuration)

    async def _page(self, visit: _Visit, configuration: Document) -> Response:
        suffix = configuration["IndexDocument"]["Suffix"]
        key = visit.key + suffix if visit.key.endswith("/") or not visit.key else visit.key
        response = await self._handle(visit.request(key))
        if location := response.headers.get("x-amz-website-redirect-location"):
            return Response(301, {"location": location, "content-length": "0"})
        if response.status < HTTPStatus.BAD_REQUEST:
            return response
        if key == visit.key and await self._exists(visit, f"{key}/{suffix}"):
            return Response(302, {"location": visit.location(f"{key}/"), "content-length": "0"})
        redirect = redirect_of(configuration, visit.key, response.status)
        return visit.redirected(redirect) if redirect else await self._refused(visit, configuration, response)

    async def _exists(self, visit: _Visit, key: str) -> bool:
        return (await self._handle(visit.request(key, "HEAD"))).status < HTTPStatus.MULTIPLE_CHOICES

    async def _refused(self, visit: _Visit, configuration: Document, response: Response) -> Response:
        """The website's own page for an error, or a plain one."""
        told = _told(response) or {"Code": HTTPStatus(response.status).phrase, "Key": visit.key}
        document = configuration.get("ErrorDocument", {}).get("Key")
        if document and response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            page = await self._handle(replace(visit.request(document), headers={"host": ""}))
            if page.status < HTTPStatus.BAD_REQUEST:
                page.status = response.status
                return page
            return _error(response.status, told, _told(page))
        return _error(response.status, told)


class _Visit:
    """A browser's request, and how it named the website."""

    def __init__(self, http: Request, bucket: str, key: str, base: str) -> None:
        self._http = http
        self.bucket = bucket
        self.key = key
        self._base = base

    @classmethod
    def of(cls, http: Request, domain: str) -> _Visit:
        host = bucket_host(http.headers.get("host", ""), domain)
        if host.website:
            return cls(http, host.bucket, _decoded(http.path[1:]), "/")
        bucket, _, key = http.path.removeprefix(WEBSITE_PREFIX).partition("/")
        return cls(http, bucket, _decoded(key), f"{WEBSITE_PREFIX}{bucket}/")

    @property
    def has_host(self) -> bool:
        """Whether the website has a host of its own."""
        return self._base == "/"

    def request(self, key: str, method: str = "") -> Request:
        """The request to the API for an object."""
        headers = {name: self._http.headers[name] for name in _PASSED_ON if name in self._http.headers}
        headers["host"] = ""
        method, path = method or self._http.method, f"/{self.bucket}/{quote(key)}"
        return replace(self._http, method=method, path=path, query="", headers=headers, body=_NOTHING)

    def redirected(self, redirect: Redirect) -> Response:
        location = self.location(redirect.key)
        if redirect.host or redirect.protocol:
            host = redirect.host or self._http.headers.get("host", "")
            path = f"/{quote(redirect.key)}" if redirect.host else location
            location = f"{redirect.protocol or self._http.scheme}://{host}{path}"
        return Response(redirect.status, {"location": location, "content-length": "0"})

    def location(self, key: str) -> str:
        """Where the website has a key."""
        return self._base + quote(key)


_NOTHING = BytesBody(b"")


def _decoded(path: str) -> str:
    return unquote(path, errors="replace")


def _told(response: Response) -> dict[str, str]:
    """The members of an error of the API."""
    body = response.body if isinstance(response.body, bytes) else b""
    return {name.decode(): unescape(value.decode()) for name, value in _ELEMENT.findall(body)}


def _error(status: int, told: Mapping[str, str], document: Mapping[str, str] | None = None) -> Response:
    title = f"{status} {HTTPStatus(status).phrase}"
    text = f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{_listed(told)}"
    if document is not None:
        heading = "An Error Occurred While Attempting to Retrieve a Custom Error Document"
        text += f"<h3>{heading}</h3>\n{_listed(document)}"
    headers = {"content-type": _HTML, "x-amz-error-code": told["Code"], "x-amz-error-message": told.get("Message", "")}
    return Response(status, headers, f"{text}<hr/>\n</body>\n</html>\n".encode())


def _listed(members: Mapping[str, str]) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(value)}</li>\n" for name, value in members.items())
    return f"<ul>\n{items}</ul>\n"
