"""Lets browsers into notebook instances: the link, the session, and the way to JupyterLab."""

from __future__ import annotations

from html import escape
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from clary import notebook_access, webproxy
from clary.http import Response
from clary.notebook_access import COOKIE, PREFIX, TOKEN, LinkRefused
from clary.webproxy import Upstream, UpstreamGone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.asgi import Receive, Scope, Send
    from clary.http import Request
    from clary.platform import Platform
    from clary.store.records import Record

KIND = "notebook-instance"
REFUSED = 4403
"""Web sockets have no statuses; the codes from 4000 on are for applications."""


class NotebookProxy:
    """Serves the paths of notebook instances."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def page(self, http: Request) -> Response:
        """Answers one request to a notebook instance."""
        record = self._record(http.path)
        if record is None:
            return _message(404, "There is no such notebook instance.", "Its name or region is not known here.")
        token = parse_qs(http.query).get(TOKEN)
        if token:
            return self._begin_session(record, token[0])
        if not self._admitted(record, http.headers) or not _same_origin(http.headers):
            return _no_session(record)
        if record.status != "InService":
            return _message(503, f"The notebook instance is {record.status}.", "It can be used once it is InService.")
        try:
            return await webproxy.forward(http, _upstream(record, http.headers))
        except UpstreamGone:
            return _message(502, "JupyterLab does not answer.", "It may be starting; try again in a few seconds.")

    async def web_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Joins a web socket with one of a notebook instance, for example of a kernel."""
        record = self._record(scope["raw_path"].decode("latin-1"))
        headers = webproxy.headers_of(scope)
        admitted = record is not None and self._admitted(record, headers) and _same_origin(headers)
        await receive()
        if record is None or not admitted or record.status != "InService":
            await send({"type": "websocket.close", "code": REFUSED})
            return
        await webproxy.bridge(scope, receive, send, _upstream(record, headers))

    def _begin_session(self, record: Record, token: str) -> Response:
        now = self._platform.clock.now()
        try:
            seconds = notebook_access.session_s(record, token, now)
            record = self._platform.records.edit(
                record, lambda current: notebook_access.without_link(current, token, now)
            )
        except LinkRefused:
            return _no_session(record)
        path = notebook_access.base_path(record)
        cookie = (
            f"{COOKIE}={notebook_access.session(record, now, seconds)}; Path={path}; Max-Age={seconds}; "
            "HttpOnly; SameSite=Strict"
        )
        # No redirect: a browser that came by a link on another site would follow it without the cookie.
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={path}lab"><title>JupyterLab</title>'
        headers = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store", "referrer-policy": "origin"}
        return Response(200, headers, page.encode(), cookies=(cookie,))

    def _admitted(self, record: Record, headers: Mapping[str, str]) -> bool:
        value = _cookies(headers).get(COOKIE, "")
        return notebook_access.admits(record, value, self._platform.clock.now())

    def _record(self, path: str) -> Record | None:
        region, _, rest = path.removeprefix(PREFIX).partition("/")
        name = rest.partition("/")[0]
        return self._platform.records.get(KIND, self._platform.settings.account, region, name)


def _upstream(record: Record, headers: Mapping[str, str]) -> Upstream:
    """JupyterLab with its token; it sees every cookie but ours."""
    cookies = "; ".join(f"{name}={value}" for name, value in _cookies(headers).items() if name != COOKIE)
    own = {"authorization": f"token {record.observed['ServerToken']}", "cookie": cookies}
    return Upstream(Path(record.observed["Socket"]), own)


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    jar = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.coded_value for name, morsel in jar.items()}


def _same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request that tells its origin comes from a page of ours."""
    # For cookies, other ports of this machine are the same site.
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")


def _no_session(record: Record) -> Response:
    command = f"aws sagemaker create-presigned-notebook-instance-url --notebook-instance-name {record.name}"
    hint = f"Links work once and for five minutes. Get one with: <code>{escape(command)}</code>"
    return _message(403, "This notebook instance needs a link.", hint)


def _message(status: int, title: str, text: str) -> Response:
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<body style="font-family: sans-serif; max-width: 42em; margin: 4em auto">'
        f"<h1>{escape(title)}</h1><p>{text}</p></body></html>"
    )
    return Response(status, {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"}, page.encode())
