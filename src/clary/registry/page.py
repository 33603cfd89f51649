"""Who asks for what below `/v2/`."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from clary import registry_access
from clary.errors import InternalFailure, ServiceError
from clary.http import ClientGone, Response
from clary.registry.blobs import Blobs
from clary.registry.manifests import Manifests
from clary.registry.operations import Operations
from clary.registry.protocol import JSON, Refusal, Visit, told
from clary.registry.uploads import Uploads
from clary.registry_access import PREFIX
from clary.store.faults import fault
from clary.store.layers import Layers, Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.http import Request
    from clary.platform import Platform
    from clary.registry_access import Visitor
    from clary.store.database import Database

Answer = Callable[[Visit], Awaitable[Response]]

_VERSION = {"docker-distribution-api-version": "registry/2.0"}

log = logging.getLogger(__name__)


class Registry:
    """Serves the paths below `/v2/`."""

    def __init__(self, platform: Platform, database: Database) -> None:
        self._platform = platform
        operations, layers = Operations(platform, database), Layers(platform.objects, platform.clock)
        self._blobs = blobs = Blobs(operations, layers)
        uploads, manifests = Uploads(operations, layers), Manifests(operations)
        self._answers: Mapping[str, Mapping[str, Answer]] = {
            "base": {"GET": _welcome, "HEAD": _welcome},
            "catalog": {"GET": manifests.catalog},
            "uploads": {"POST": uploads.begin},
            "upload": {
                "GET": uploads.progress, "PATCH": uploads.append, "PUT": uploads.finish, "DELETE": uploads.abort,
            },
            "blob": {"GET": blobs.get, "HEAD": blobs.get},
            "manifest": {
                "GET": manifests.get, "HEAD": manifests.get, "PUT": manifests.put, "DELETE": manifests.delete,
            },
            "tags": {"GET": manifests.tags},
        }  # fmt: skip

    async def page(self, http: Request) -> Response:
        """Answers one request of a container tool."""
        try:
            response = await self._answer(http)
        except ClientGone:
            raise
        except (Refusal, ServiceError) as error:
            response = told(error)
        except Exception as error:  # a fault of ours must reach the caller as an answer, never as a hang
            log.exception("the registry failed")
            response = told(fault(error) or InternalFailure("The log of the platform tells more."))
        response.headers.update(_VERSION)
        if http.method == "HEAD" and isinstance(response.body, bytes):
            response.headers.setdefault("content-length", str(len(response.body)))
            response.body = b""
        return response

    async def _answer(self, http: Request) -> Response:
        path = unquote(http.path)
        query = {name: values[-1] for name, values in parse_qs(http.query).items()}
        if "token" in query:
            linked = registry_access.linked(self._platform.keyring, query["token"], self._platform.clock.now())
            if linked is not None and path == f"{PREFIX}{linked[0].name}/blobs/{linked[1]}":
                return await self._blobs.sent(http, *linked)
        visitor = self._visitor(http)
        for kind, pattern in _PATHS.items():
            if found := pattern.fullmatch(path):
                name, named = (*found.groups(), "", "")[:2]
                answer = self._answers[kind].get(http.method)
                if answer is None:
                    raise Refusal(405, "UNSUPPORTED", f"{http.method} is not supported here.")
                place = Repository(visitor.principal.account, visitor.region, name)
                return await answer(Visit(http, visitor, place, named, query))
        raise Refusal(404, "UNSUPPORTED", f"There is nothing at {path}.")

    def _visitor(self, http: Request) -> Visitor:
        scheme, _, given = http.headers.get("authorization", "").partition(" ")
        try:
            user, _, word = base64.b64decode(given).decode().partition(":")
        except ValueError:
            user = word = ""
        found = None
        if scheme.lower() == "basic":
            found = registry_access.visitor(self._platform.credentials, user, word, self._platform.clock.now())
        if found is None:
            raise Refusal(
                401, "UNAUTHORIZED",
                "Your authorization token is not valid or has expired; `aws ecr get-login-password` tells a new one.",
                {"www-authenticate": f'Basic realm="{_address(http)}/",service="ecr.amazonaws.com"'},
            )  # fmt: skip
        return found


async def _welcome(_visit: Visit) -> Response:
    return Response(200, dict(JSON), b"{}")


def _address(http: Request) -> str:
    return f"{http.scheme}://{http.headers.get('host', '')}"


_PATHS = {
    "base": re.compile(PREFIX),
    "catalog": re.compile(rf"{PREFIX}_catalog"),
    "uploads": re.compile(rf"{PREFIX}(.+)/blobs/uploads/?"),
    "upload": re.compile(rf"{PREFIX}(.+)/blobs/uploads/([^/]+)"),
    "blob": re.compile(rf"{PREFIX}(.+)/blobs/([^/]+)"),
    "manifest": re.compile(rf"{PREFIX}(.+)/manifests/([^/]+)"),
    "tags": re.compile(rf"{PREFIX}(.+)/tags/list"),
}
"""In order: the path of an upload would also be that of a blob."""
