"""Container images: manifests by the SHA-256 of their text, and the tags that lead to them.

Source: "OCI Image Format Specification" and "Image Manifest V 2, Schema 2" of Docker.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from clary import arn
from clary.store.layers import Repository
from clary.store.records import AlreadyExists, Query, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from clary.store.records import Records

REPOSITORY = "ecr-repository"
IMAGE = "ecr-image"
TAG = "ecr-tag"

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_URI = re.compile(r"(?P<host>[^/]+)/(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")
_ECR_HOST = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST}) | INDEXES


class InvalidManifest(Exception):
    """A text is no manifest of an image; the message says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a manifest names: a layer, the configuration, or one of several images."""

    digest: str
    size: int
    media_type: str
    platform: tuple[str, str] = ("", "")
    """Operating system and processor, for one of several images."""
    elsewhere: bool = False
    """A layer that its maker does not let others keep; clients fetch it from there."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image is made of."""

    text: str
    media_type: str
    digest: str
    config: Part | None = None
    layers: tuple[Part, ...] = ()
    images: tuple[Part, ...] = field(default=())
    """The images of an index, one for each platform."""

    @property
    def blobs(self) -> tuple[Part, ...]:
        """The bytes that must be there before the image can be."""
        parts = (*((self.config,) if self.config else ()), *self.layers)
        return tuple(part for part in parts if not part.elsewhere)

    @property
    def size(self) -> int:
        """The bytes of all that belongs to the image."""
        return sum(part.size for part in self.blobs)


def digest_of(text: str) -> str:
    """The name of a manifest."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def parse(text: str, media_type: str = "") -> Manifest:
    """What a manifest says.

    Raises:
        InvalidManifest: it is none, or of a form that is out of use.
    """
    try:
        document = orjson.loads(text)
        kind = str(document.get("mediaType") or media_type or (OCI_INDEX if "manifests" in document else OCI_MANIFEST))
        if kind not in MANIFESTS:
            raise InvalidManifest(f"the media type {kind} is not supported")
        if kind in INDEXES:
            return Manifest(text, kind, digest_of(text), images=tuple(map(_part, document["manifests"])))
        layers = tuple(map(_part, document["layers"]))
        return Manifest(text, kind, digest_of(text), _part(document["config"]), layers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidManifest(f"it is no manifest: {error}") from error


@dataclass(frozen=True, slots=True)
class Reference:
    """What an image is called: a repository, and a tag or digest in it."""

    place: Repository
    tag: str = ""
    digest: str = ""

    @property
    def identifier(self) -> dict[str, str]:
        """The image as requests of ECR name it."""
        return {"imageDigest": self.digest} if self.digest else {"imageTag": self.tag or "latest"}


def refer(uri: str, account: str, region: str, port: int) -> Reference | None:
    """The image that a URI names, if it is one of the account's registry: by AWS's host name or at our own port."""
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    aws = _ECR_HOST.fullmatch(found["host"])
    if aws is None and found["host"].rpartition(":")[2] != str(port):
        return None
    owner, where = (aws[1], aws[2]) if aws else (account, region)
    named = Reference(Repository(owner, where, found["name"]), found["tag"] or "", found["digest"] or "")
    return named if owner == account else None


class Images:
    """The repositories, images and tags of all registries, as records."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def repository(self, place: Repository) -> Record | None:
        """The record of a repository."""
        return self._records.get(REPOSITORY, *place)

    def image(self, place: Repository, digest: str) -> Record | None:
        """The record of an image; its spec holds `Manifest`, `MediaType` and `Size`."""
        return self._records.get(IMAGE, place.account, place.region, place.key(digest))

    def tagged(self, place: Repository, tag: str) -> str | None:
        """The digest to which a tag leads."""
        record = self._tag(place, tag)
        return str(record.spec["Digest"]) if record else None

    def images(self, place: Repository) -> Sequence[Record]:
        """Every image of a repository, the oldest first."""
        return self._records.all(Query(IMAGE, place.account, place.region, name_prefix=place.key("")))

    def tags(self, place: Repository) -> dict[str, list[str]]:
        """The tags that lead to each digest."""
        found: dict[str, list[str]] = {}
        prefix = _tag_name(place, "")
        for record in self._records.all(Query(TAG, place.account, place.region, name_prefix=prefix, order_by="name")):
            found.setdefault(record.spec["Digest"], []).append(record.name.removeprefix(prefix))
        return found

    def put(self, place: Repository, manifest: Manifest, now: datetime) -> bool:
        """Keeps an image; False when it was there already."""
        spec = {"Manifest": manifest.text, "MediaType": manifest.media_type, "Size": manifest.size}
        name = place.key(manifest.digest)
        try:
            self._records.create(Record(IMAGE, place.account, place.region, name, "", spec, now, now))
        except AlreadyExists:
            return False
        return True

    def point(self, place: Repository, tag: str, digest: str, now: datetime, *, movable: bool = True) -> bool:
        """Lets a tag lead to an image; False when it leads elsewhere and is not movable."""
        name = _tag_name(place, tag)
        record = Record(TAG, place.account, place.region, name, "", {"Digest": digest}, now, now)
        try:
            self._records.create(record)
        except AlreadyExists:
            current = self._tag(place, tag)
            if current is None:
                return self.point(place, tag, digest, now, movable=movable)
            if not movable:
                return bool(current.spec["Digest"] == digest)
            self._records.edit(current, _set(spec={"Digest": digest}, modified=now))
        return True

    def untag(self, place: Repository, tag: str) -> None:
        """Takes a tag away."""
        record = self._tag(place, tag)
        if record is not None:
            self._records.delete(record)

    def delete(self, place: Repository, digest: str) -> None:
        """Removes an image with its tags."""
        for tag in self.tags(place).get(digest, ()):
            self.untag(place, tag)
        record = self.image(place, digest)
        if record is not None:
            self._records.delete(record)

    def needed(self, place: Repository) -> set[str]:
        """The digests of all layers and configurations that images of a repository name."""
        return {blob.digest for record in self.images(place) for blob in parse(record.spec["Manifest"]).blobs}

    def _tag(self, place: Repository, tag: str) -> Record | None:
        return self._records.get(TAG, place.account, place.region, _tag_name(place, tag))


def repository_arn(place: Repository) -> str:
    """The ARN of a repository."""
    return arn.build("ecr", place.region, place.account, f"repository/{place.name}")


def _tag_name(place: Repository, tag: str) -> str:
    return f"{place.name}:{tag}"


def _set(**members: Any) -> Callable[[Record], Record]:
    return lambda record: replace(record, **members)


def _part(document: dict[str, Any]) -> Part:
    platform = document.get("platform") or {}
    return Part(
        str(document["digest"]),
        int(document.get("size", 0)),
        str(document.get("mediaType", "")),
        (str(platform.get("os", "")), str(platform.get("architecture", ""))),
        bool(document.get("urls")),
    )
