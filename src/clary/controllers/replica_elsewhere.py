"""Replicas behind another endpoint of S3, sent in pieces with the keys that were registered for it."""

from __future__ import annotations

import io
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clary.controllers.outbox import Failed, Unreachable
from clary.controllers.replicas import Refused, complete

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.destinations import Destination
    from clary.http import Stored
    from clary.platform import Platform
    from clary.store.objects import Version
    from clary.store.objects.events import Pending
    from clary.store.records import Record

TIMEOUT_S = 30.0
MOST_KEPT = 8
MAX_BYTES = 5 << 30
"""As much as one request may bring."""

_SECRETS = ("AccessKeyId", "SecretAccessKey", "Region")
_HEADERS = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "StorageClass",
    "WebsiteRedirectLocation",
)  # fmt: skip


class Clients:
    """Clients of endpoints, kept because one takes a tenth of a second to make."""

    def __init__(self) -> None:
        self._kept = lru_cache(MOST_KEPT)(_client)

    def of(self, destination: Destination) -> Any:
        """The client for a destination, as long as its address and keys are the same."""
        return self._kept(destination.url, *(destination.secrets[name] for name in _SECRETS))


class ReplicaElsewhere:
    """A bucket behind another endpoint; its versions get ids of their own."""

    bucket: Record | None = None

    def __init__(self, platform: Platform, destination: Destination, clients: Clients) -> None:
        self._objects = platform.objects
        self._arn = destination.arn
        self._bucket = destination.arn.rpartition(":")[2]
        self._client = clients.of(destination)

    def make(self, version: Version, event: Pending) -> None:
        """Sends an object, its tags, or the wish that it be hidden.

        Raises:
            Refused: the endpoint refuses it, or it is more than a request may bring.
            Unreachable: the endpoint does not answer.
            Failed: it answers with a fault of its own.
        """
        try:
            self._send(version, event)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise (Failed if status >= 500 else Refused)(str(error)) from error
        except BotoCoreError as error:
            raise Unreachable(str(error)) from error

    def close(self) -> None:
        """The clients keep their connections for the next step."""

    def _send(self, version: Version, event: Pending) -> None:
        what = event.event["What"]
        if what == "marker":
            self._client.delete_object(Bucket=self._bucket, Key=version.key)
        elif what == "description":
            tags = [{"Key": name, "Value": value} for name, value in version.meta.tags.items()]
            self._client.put_object_tagging(Bucket=self._bucket, Key=version.key, Tagging={"TagSet": tags})
        else:
            self._put(version, event.event["StorageClass"])
            self._objects.index.edit(version, lambda meta: complete(meta, self._arn))

    def _put(self, version: Version, storage_class: str) -> None:
        if version.size > MAX_BYTES:
            raise Refused(f"it has more than {MAX_BYTES} bytes")
        meta = version.meta
        request: dict[str, Any] = {name: meta.headers[name] for name in _HEADERS if name in meta.headers}
        if storage_class:
            request["StorageClass"] = storage_class
        if meta.tags:
            request["Tagging"] = urlencode(meta.tags)
        if version.has_md5:
            request["ContentMD5"] = b64encode(bytes.fromhex(version.etag.strip('"'))).decode()
        body = self._objects.read(version)
        self._client.put_object(
            Bucket=self._bucket, Key=version.key, Metadata=meta.metadata, ContentLength=version.size,
            Body=body if isinstance(body, bytes) else _Reader(body), **request,
        )  # fmt: skip


def _client(url: str, access_key: str, secret: str, region: str) -> Any:
    config = Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
        s3={"addressing_style": "path", "payload_signing_enabled": False},
    )  # fmt: skip
    return botocore.session.Session().create_client(
        "s3", region, endpoint_url=url, config=config, aws_access_key_id=access_key, aws_secret_access_key=secret
    )


class _Reader(io.RawIOBase):
    """Stored bytes as a file that is read once."""

    def __init__(self, body: Stored) -> None:
        self._chunks: Iterator[bytes] = body.chunks()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
