"""The registry of images as container tools reach it: the same repositories as ECR's, in the protocol of OCI.

Each request stands for an operation of ECR, is allowed by its permission, and is in the audit log as that.

Source: "OCI Distribution Specification" 1.1.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode

import orjson

from clary import registry_access
from clary.audit.trail import Attempt
from clary.context import Context
from clary.errors import InternalFailure, ServiceError
from clary.http import ClientGone, Response, Stored, begun, read
from clary.registry_access import PREFIX
from clary.store.faults import fault
from clary.store.images import MANIFESTS, digest_of
from clary.store.layers import DigestMismatch, Layers, Repository, UploadGone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.http import Request
    from clary.platform import Platform
    from clary.registry_access import Visitor
    from clary.store.database import Database
    from clary.store.objects.version import Upload, Version

MANIFEST_BYTES = 4 << 20
PAGE = 1000
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_JSON = {"content-type": "application/json"}
_VERSION = {"docker-distribution-api-version": "registry/2.0"}

log = logging.getLogger(__name__)


class Refusal(Exception):
    """What is told to a container tool instead of an answer."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a repository, and whose it is."""

    http: Request
    visitor: Visitor
    place: Repository
    named: str
    """The digest, tag or upload that the path ends with."""
    query: Mapping[str, str]


Answer = Callable[[Visit], Awaitable[Response]]


class Registry:
    """Serves the paths below `/v2/`."""

    def __init__(self, platform: Platform, database: Database) -> None:
        self._platform = platform
        self._database = database
        self._layers = Layers(platform.objects, platform.clock)
        self._answers: Mapping[tuple[str, str], Answer] = {
            ("blob", "HEAD"): self._get_blob,
            ("blob", "GET"): self._get_blob,
            ("uploads", "POST"): self._begin,
            ("upload", "GET"): self._progress,
            ("upload", "PATCH"): self._append,
            ("upload", "PUT"): self._finish,
            ("upload", "DELETE"): self._abort,
            ("manifest", "HEAD"): self._get_manifest,
            ("manifest", "GET"): self._get_manifest,
            ("manifest", "PUT"): self._put_manifest,
            ("manifest", "DELETE"): self._delete_manifest,
            ("tags", "GET"): self._tags,
        }

    async def page(self, http: Request) -> Response:
        """Answers one request of a container tool."""
        try:
            response = await self._answer(http)
        except ClientGone:
            raise
        except (Refusal, ServiceError) as error:
            response = _told(error)
        except Exception as error:  # a fault of ours must reach the caller as an answer, never as a hang
            log.exception("the registry failed")
            response = _told(fault(error) or InternalFailure("The log of the platform tells more."))
        response.headers.update(_VERSION)
        if http.method == "HEAD" and isinstance(response.body, bytes):
            response.headers.setdefault("content-length", str(len(response.body)))
            response.body = b""
        return response

    async def _answer(self, http: Request) -> Response:
        query = {name: values[-1] for name, values in parse_qs(http.query).items()}
        path = unquote(http.path)
        linked = (
            registry_access.linked(self._platform.keyring, query["token"], self._now()) if "token" in query else None
        )
        if linked is not None and path == f"{PREFIX}{linked[0].name}/blobs/{linked[1]}":
            return await self._blob(http, self._existing(*linked))
        visitor = self._visitor(http)
        if path.rstrip("/") == PREFIX.rstrip("/"):
            return Response(200, dict(_JSON), b"{}")
        if path == f"{PREFIX}_catalog":
            return await self._catalog(Visit(http, visitor, _place(visitor, ""), "", query))
        for kind, pattern in _PATHS.items():
            if found := pattern.fullmatch(path):
                answer = self._answers.get((kind, http.method))
                if answer is None:
                    raise Refusal(405, "UNSUPPORTED", f"{http.method} is not supported here.")
                return await answer(
                    Visit(http, visitor, _place(visitor, found[1]), found.group(found.re.groups), query)
                )
        raise Refusal(404, "UNSUPPORTED", f"There is nothing at {path}.")

    # Who

    def _visitor(self, http: Request) -> Visitor:
        scheme, _, given = http.headers.get("authorization", "").partition(" ")
        try:
            user, _, word = base64.b64decode(given).decode().partition(":")
        except ValueError:
            user = word = ""
        found = None
        if scheme.lower() == "basic":
            found = registry_access.visitor(self._platform.credentials, user, word, self._now())
        if found is None:
            realm = f'Basic realm="{http.scheme}://{http.headers.get("host", "")}/",service="ecr.amazonaws.com"'
            raise Refusal(
                401, "UNAUTHORIZED",
                "Your authorization token is not valid or has expired; `aws ecr get-login-password` tells a new one.",
                {"www-authenticate": realm},
            )  # fmt: skip
        return found

    def _now(self) -> Any:
        return self._platform.clock.now()

    def _context(self, visit: Visit, operation: str) -> Context:
        http = visit.http
        return Context(
            request_id=str(uuid.uuid4()),
            account=visit.place.account,
            region=visit.visitor.region,
            principal=visit.visitor.principal,
            service="ecr",
            operation=operation,
            now=self._now(),
            endpoint=f"{http.scheme}://{http.headers.get('host', '')}",
            source_ip=http.client,
            secure=http.scheme == "https",
            user_agent=http.headers.get("user-agent", ""),
        )

    async def _call(self, visit: Visit, operation: str, **request: Any) -> dict[str, Any]:
        """What an operation of ECR answers."""
        ctx = self._context(visit, operation)
        attempt = Attempt.over_http(ctx.request_id, ("ecr", operation), ctx.now, visit.http)
        attempt.ctx, attempt.request = ctx, request
        status = 200
        try:
            attempt.answer = (await self._platform.invoke.run(ctx, request)).members
        except ServiceError as error:
            attempt.error, status = error, error.status
            raise
        finally:
            self._platform.invoke.trail.write(attempt, status)
        return dict(attempt.answer)

    def _allow(self, visit: Visit, operation: str, place: Repository | None = None) -> None:
        """Accepts a request that does with bytes what an operation of ECR would do."""
        place = place or visit.place
        ctx, request = self._context(visit, operation), {"repositoryName": place.name}
        attempt = Attempt.over_http(ctx.request_id, ("ecr", operation), ctx.now, visit.http)
        attempt.ctx, attempt.request = ctx, request
        status = 200
        try:
            self._platform.invoke.authorize(ctx, request)
        except ServiceError as error:
            attempt.error, status = error, error.status
            raise
        finally:
            self._platform.invoke.trail.write(attempt, status)
        if self._platform.records.get("ecr-repository", *place) is None:
            raise Refusal(
                404, "NAME_UNKNOWN",
                f"The repository with name '{place.name}' does not exist in the registry with id '{place.account}'",
            )  # fmt: skip

    # Blobs

    async def _get_blob(self, visit: Visit) -> Response:
        reading = visit.http.method == "GET"
        self._allow(visit, "GetDownloadUrlForLayer" if reading else "BatchCheckLayerAvailability")
        return await self._blob(visit.http, self._existing(visit.place, visit.named))

    def _existing(self, place: Repository, digest: str) -> Version:
        layer = self._layers.find(place, digest)
        if layer is None:
            raise Refusal(404, "BLOB_UNKNOWN", f"There is no blob {digest} in the repository {place.name}.")
        return layer

    async def _blob(self, http: Request, layer: Version) -> Response:
        digest = layer.etag.strip('"')
        headers = {
            "content-type": "application/octet-stream", "docker-content-digest": digest, "etag": layer.etag,
            "accept-ranges": "bytes",
        }  # fmt: skip
        start, end = _range(http.headers.get("range", ""), layer.size)
        headers["content-length"] = str(end - start)
        partial = (start, end) != (0, layer.size)
        if partial:
            headers["content-range"] = f"bytes {start}-{end - 1}/{layer.size}"
        body: Any = b""
        if http.method == "GET":
            body = self._layers.read(layer, start, end)
            body = await begun(body) if isinstance(body, Stored) else body
        return Response(206 if partial else 200, headers, body)

    # Uploads

    async def _begin(self, visit: Visit) -> Response:
        self._allow(visit, "InitiateLayerUpload")
        digest = visit.query.get("mount") or visit.query.get("digest", "")
        if "mount" in visit.query and await self._mounted(visit, digest):
            return self._made(visit, digest)
        upload = self._layers.begin(visit.place, visit.visitor.principal.arn)
        if "digest" in visit.query:
            return await self._completed(visit, upload)
        return self._under_way(visit, upload, 0)

    async def _mounted(self, visit: Visit, digest: str) -> bool:
        """Whether the layer of another repository could be had, which the caller must be allowed to read."""
        if self._layers.find(visit.place, digest) is not None:
            return True
        source = visit.place._replace(name=visit.query.get("from", ""))
        if not source.name or not _SHA256.fullmatch(digest):
            return False
        try:
            self._allow(visit, "GetDownloadUrlForLayer", source)
        except (ServiceError, Refusal):
            return False
        return await self._layers.mount(source, visit.place, digest) is not None

    async def _progress(self, visit: Visit) -> Response:
        self._allow(visit, "UploadLayerPart")
        upload = self._upload(visit)
        response = self._under_way(visit, upload, self._layers.size(upload))
        response.status = 204
        return response

    async def _append(self, visit: Visit) -> Response:
        self._allow(visit, "UploadLayerPart")
        upload = self._upload(visit)
        size = self._layers.size(upload)
        first = visit.http.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
        if first and first != str(size):
            raise Refusal(
                416, "BLOB_UPLOAD_INVALID", f"The upload has {size} bytes.", {"range": f"0-{max(0, size - 1)}"}
            )
        try:
            size = await self._layers.append(upload, visit.http.body)
        except UploadGone as error:
            raise _no_upload(visit) from error
        return self._under_way(visit, upload, size)

    async def _finish(self, visit: Visit) -> Response:
        self._allow(visit, "CompleteLayerUpload")
        return await self._completed(visit, self._upload(visit))

    async def _completed(self, visit: Visit, upload: Upload) -> Response:
        digest = visit.query.get("digest", "")
        if not _SHA256.fullmatch(digest):
            self._layers.abort(upload)
            raise Refusal(400, "DIGEST_INVALID", f"{digest!r} is no SHA-256.")
        try:
            await self._layers.append(upload, visit.http.body)
            await self._layers.finish(visit.place, upload, digest)
        except DigestMismatch as error:
            raise Refusal(400, "DIGEST_INVALID", f"The uploaded bytes have the digest {error}.") from error
        except UploadGone as error:
            raise _no_upload(visit) from error
        await self._sync()
        return self._made(visit, digest)

    async def _abort(self, visit: Visit) -> Response:
        self._allow(visit, "UploadLayerPart")
        self._layers.abort(self._upload(visit))
        return Response(204)

    def _upload(self, visit: Visit) -> Upload:
        try:
            return self._layers.upload(visit.place, visit.named)
        except UploadGone as error:
            raise _no_upload(visit) from error

    def _under_way(self, visit: Visit, upload: Upload, size: int) -> Response:
        headers = {
            "location": f"{_base(visit)}/blobs/uploads/{upload.upload_id}",
            "docker-upload-uuid": upload.upload_id,
            "range": f"0-{max(0, size - 1)}",
        }
        return Response(202, headers)

    def _made(self, visit: Visit, digest: str) -> Response:
        return Response(201, {"location": f"{_base(visit)}/blobs/{digest}", "docker-content-digest": digest})

    # Manifests

    async def _get_manifest(self, visit: Visit) -> Response:
        answer = await self._call(
            visit, "BatchGetImage", repositoryName=visit.place.name, imageIds=[_identifier(visit.named)]
        )
        if not answer["images"]:
            raise Refusal(404, "MANIFEST_UNKNOWN", "Requested image not found")
        image = answer["images"][0]
        headers = {
            "content-type": image["imageManifestMediaType"],
            "docker-content-digest": image["imageId"]["imageDigest"],
            "etag": f'"{image["imageId"]["imageDigest"]}"',
        }
        return Response(200, headers, image["imageManifest"].encode())

    async def _put_manifest(self, visit: Visit) -> Response:
        try:
            text = (await read(visit.http.body, MANIFEST_BYTES)).decode()
        except UnicodeDecodeError as error:
            raise Refusal(400, "MANIFEST_INVALID", f"The manifest is no text: {error}") from error
        kind = visit.http.headers.get("content-type", "")
        identifier = _identifier(visit.named)
        request = {
            "repositoryName": visit.place.name,
            "imageManifest": text,
            **({"imageManifestMediaType": kind} if kind in MANIFESTS else {}),
            **identifier,
        }
        try:
            await self._call(visit, "PutImage", **request)
        except ServiceError as error:
            # Tools push again what is there and expect it to be well.
            if error.code != "ImageAlreadyExistsException":
                raise
        await self._sync()
        digest = digest_of(text)
        return Response(201, {"location": f"{_base(visit)}/manifests/{digest}", "docker-content-digest": digest})

    async def _delete_manifest(self, visit: Visit) -> Response:
        answer = await self._call(
            visit, "BatchDeleteImage", repositoryName=visit.place.name, imageIds=[_identifier(visit.named)]
        )
        if answer["failures"]:
            raise Refusal(404, "MANIFEST_UNKNOWN", "Requested image not found")
        await self._sync()
        return Response(202)

    # Lists

    async def _tags(self, visit: Visit) -> Response:
        images: list[dict[str, str]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self._call(
                visit, "ListImages", repositoryName=visit.place.name, filter={"tagStatus": "TAGGED"}, maxResults=PAGE,
                **token,
            )  # fmt: skip
            images += answer["imageIds"]
            if "nextToken" not in answer:
                break
            token = {"nextToken": answer["nextToken"]}
        tags = sorted(image["imageTag"] for image in images)
        return _listed(visit, f"{visit.place.name}/tags/list", {"name": visit.place.name}, "tags", tags)

    async def _catalog(self, visit: Visit) -> Response:
        answer = await self._call(visit, "DescribeRepositories", maxResults=PAGE)
        names = [repository["repositoryName"] for repository in answer["repositories"]]
        return _listed(visit, "_catalog", {}, "repositories", names)

    async def _sync(self) -> None:
        """Returns once all that was written is on the disk."""
        if self._database.unsynced:
            await asyncio.to_thread(self._database.sync)


_PATHS = {
    "uploads": re.compile(rf"{PREFIX}(.+)/blobs/uploads/?"),
    "upload": re.compile(rf"{PREFIX}(.+)/blobs/uploads/([^/]+)"),
    "blob": re.compile(rf"{PREFIX}(.+)/blobs/([^/]+)"),
    "manifest": re.compile(rf"{PREFIX}(.+)/manifests/([^/]+)"),
    "tags": re.compile(rf"{PREFIX}(.+)/tags/list"),
}
_TOLD = {
    "AccessDenied": (403, "DENIED"),
    "RepositoryNotFoundException": (404, "NAME_UNKNOWN"),
    "InvalidParameterException": (400, "MANIFEST_INVALID"),
    "ValidationException": (400, "NAME_INVALID"),
    "LayersNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "ReferencedImagesNotFoundException": (400, "MANIFEST_BLOB_UNKNOWN"),
    "ImageDigestDoesNotMatchException": (400, "DIGEST_INVALID"),
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),
    "RequestEntityTooLarge": (413, "MANIFEST_INVALID"),
}
"""Errors of ECR as container tools know them."""


def _told(error: Refusal | ServiceError) -> Response:
    """An error as the protocol tells it."""
    if isinstance(error, ServiceError):
        status, code = _TOLD.get(error.code, (error.status, "UNKNOWN"))
        error = Refusal(status, code, error.message)
    errors = {"errors": [{"code": error.code, "message": error.message}]}
    return Response(error.status, {**_JSON, **error.headers}, orjson.dumps(errors))


def _place(visitor: Visitor, name: str) -> Repository:
    return Repository(visitor.principal.account, visitor.region, name)


def _base(visit: Visit) -> str:
    """Paths are answered rather than addresses, so that they hold behind whatever proxy."""
    return f"{PREFIX}{quote(visit.place.name)}"


def _identifier(reference: str) -> dict[str, str]:
    return {"imageDigest" if ":" in reference else "imageTag": reference}


def _no_upload(visit: Visit) -> Refusal:
    return Refusal(404, "BLOB_UPLOAD_UNKNOWN", f"There is no upload {visit.named} in {visit.place.name}.")


def _range(header: str, size: int) -> tuple[int, int]:
    """The bytes that a client asks for; all of them where it does not ask for a single range that is there."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", header)
    if found is None or int(found[1]) >= size:
        return 0, size
    return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size


def _listed(visit: Visit, path: str, head: dict[str, str], member: str, names: list[str]) -> Response:
    """A page of a list, as `n` and `last` ask for it."""
    names = [name for name in names if name > visit.query.get("last", "")]
    wanted = visit.query.get("n", "")
    count = int(wanted) if wanted.isdigit() else len(names)
    headers = dict(_JSON)
    if count and count < len(names):
        following = urlencode({"n": count, "last": names[count - 1]})
        headers["link"] = f'<{PREFIX}{path}?{following}>; rel="next"'
    return Response(200, headers, orjson.dumps({**head, member: names[:count]}))
