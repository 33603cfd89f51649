"""A container tool for tests: makes images of a few files, pushes and pulls them by the protocol of OCI."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import platform
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Told(NamedTuple):
    """What a registry answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(json.loads(self.body)["errors"][0]["code"])


Send = Callable[[str, str, Mapping[str, str], bytes], Told]
"""Sends a request: method, path with query, headers, body."""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(*members: tuple[tarfile.TarInfo, bytes] | tuple[str, bytes | str | None]) -> bytes:
    """A layer of files (name, content), folders (name, None), links (name, target), or entries made elsewhere."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b""
            if isinstance(name, str):
                if content is None:
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                elif isinstance(content, str):
                    info.type, info.linkname = tarfile.SYMTYPE, content
                else:
                    info.mode, data = 0o755, content
            elif isinstance(content, bytes):
                data = content
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 1, mtime=0)


@dataclass
class Image:
    """An image with its layers."""

    layers: Sequence[bytes]
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        return digest(self.manifest)


def _unpacked(layer: bytes) -> bytes:
    """What a layer holds; what is no archive, as some tests push, is told as it is."""
    try:
        return gzip.decompress(layer)
    except gzip.BadGzipFile:
        return layer


def architecture() -> str:
    """What images call the processor of this machine."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def image(*layers: bytes, **config: Any) -> Image:
    """An image; `config` are members of its configuration such as `Entrypoint`."""
    document = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(_unpacked(data)) for data in layers]},
    }
    return with_config(Image(list(layers), b"", b""), json.dumps(document).encode())


def with_config(what: Image, text: bytes) -> Image:
    """The same layers under a configuration, whatever that is."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(text), "size": len(text)},
        "layers": [{"mediaType": LAYER, "digest": digest(data), "size": len(data)} for data in what.layers],
    }
    return Image(what.layers, text, json.dumps(manifest).encode())


class Registry:
    """A registry, with the user name and password of a token from GetAuthorizationToken."""

    def __init__(self, send: Send, token: str) -> None:
        self._send = send
        self._token = token

    @classmethod
    def of(cls, send: Send, ecr: Any) -> Registry:
        return cls(send, ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"])

    def __call__(self, method: str, path: str, body: bytes = b"", **headers: str) -> Told:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        authorization = {"authorization": f"Basic {self._token}"} if self._token else {}
        return self._send(method, path, {**authorization, **named}, body)

    def upload(self, repository: str, data: bytes, claimed: str = "") -> Told:
        begun = self("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        sent = self("PATCH", begun.headers["location"], data)
        assert sent.status == 202, sent
        return self("PUT", f"{sent.headers['location']}?digest={claimed or digest(data)}")

    def push(self, repository: str, what: Image, tag: str = "latest") -> Told:
        for blob in (*what.layers, what.config):
            if self("HEAD", f"/v2/{repository}/blobs/{digest(blob)}").status != 200:
                made = self.upload(repository, blob)
                assert made.status == 201, made
        return self("PUT", f"/v2/{repository}/manifests/{tag}", what.manifest, content_type=MANIFEST)

    def pull(self, repository: str, reference: str = "latest") -> Image:
        manifest = self("GET", f"/v2/{repository}/manifests/{reference}").body
        document = json.loads(manifest)
        layers = [self("GET", f"/v2/{repository}/blobs/{each['digest']}").body for each in document["layers"]]
        config = self("GET", f"/v2/{repository}/blobs/{document['config']['digest']}").body
        return Image(layers, config, manifest)


@contextmanager
def sender(port: int) -> Iterator[Send]:
    """Sends to a server of this machine, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Told(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    try:
        yield send
    finally:
        connection.close()


def token(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
