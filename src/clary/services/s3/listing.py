"""List the keys and versions of a bucket."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from clary.services.s3.archive import storage_class
from clary.services.s3.bucket import bucket_of, canonical_id
from clary.services.s3.errors import InvalidArgument
from clary.store.objects import Meta, Page, PageQuery

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

MAX_KEYS = 1000

_PLAIN = re.compile(r"[A-Za-z0-9_.\-/*]*")

Encode = Callable[[str], str]


class Listing:
    """Pages of keys, in both forms, and of versions."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def list_objects_v2(self, ctx: Context, request: api.ListObjectsV2Request) -> Document:
        """A page of keys; goes on from a token."""
        bucket = bucket_of(self._platform, request)
        limit, encode = _limit(request), encoder(request)
        token, start_after = request.get("ContinuationToken"), request.get("StartAfter") or ""
        page = self._keys(request, _position(token) if token is not None else start_after, limit)
        owner = {"ID": canonical_id(bucket.account)} if request.get("FetchOwner") else None
        members = _contents(page, encode, owner, restores=_tells_restores(ctx, request))
        members.update(Name=bucket.name, MaxKeys=limit, KeyCount=len(page.rows) + len(page.common_prefixes))
        members.update(echo(request, encode, "Prefix", "Delimiter", "StartAfter"))
        members["Prefix"] = encode(request.get("Prefix") or "")
        if token is not None:
            members["ContinuationToken"] = token
        if page.last:
            members["NextContinuationToken"] = _token(page.last)
        return members

    def list_objects(self, ctx: Context, request: api.ListObjectsRequest) -> Document:
        """A page of keys; goes on from a key."""
        bucket = bucket_of(self._platform, request)
        limit, encode = _limit(request), encoder(request)
        page = self._keys(request, request.get("Marker") or "", limit)
        owner = {"ID": canonical_id(bucket.account)}
        members = _contents(page, encode, owner, restores=_tells_restores(ctx, request))
        members.update(Name=bucket.name, MaxKeys=limit, **echo(request, encode, "Delimiter"))
        members["Prefix"] = encode(request.get("Prefix") or "")
        members["Marker"] = encode(request.get("Marker") or "")
        if page.last and request.get("Delimiter"):
            members["NextMarker"] = encode(page.last)
        return members

    def list_object_versions(self, ctx: Context, request: api.ListObjectVersionsRequest) -> Document:
        """A page of versions and delete markers."""
        bucket = bucket_of(self._platform, request)
        limit, encode = _limit(request), encoder(request)
        key_marker, version_marker = request.get("KeyMarker") or "", request.get("VersionIdMarker") or ""
        if version_marker and not key_marker:
            raise InvalidArgument(
                "A version-id marker cannot be specified without a key marker.", "version-id-marker", version_marker
            )
        query = _query(request, key_marker, limit, version_marker)
        page = self._platform.objects.list_versions(query) if limit else _NOTHING
        owner = {"ID": canonical_id(bucket.account)}
        members = _versions(page, encode, owner, restores=_tells_restores(ctx, request))
        members.update(Name=bucket.name, MaxKeys=limit, **echo(request, encode, "Delimiter"))
        members.update(Prefix=encode(request.get("Prefix") or ""), KeyMarker=encode(key_marker))
        members["VersionIdMarker"] = version_marker
        if page.last:
            members["NextKeyMarker"] = encode(page.last)
            if page.last_version:
                members["NextVersionIdMarker"] = page.last_version
        return members

    def _keys(self, request: Members, after: str, limit: int) -> Page:
        return self._platform.objects.list_keys(_query(request, after, limit)) if limit else _NOTHING


def _query(request: Members, after: str, limit: int, after_version: str = "") -> PageQuery:
    return PageQuery(
        request["Bucket"], request.get("Prefix") or "", request.get("Delimiter") or "", after, after_version, limit
    )


def _limit(request: Members) -> int:
    limit = request.get("MaxKeys")
    if limit is None:
        return MAX_KEYS
    if limit < 0:
        raise InvalidArgument("Argument maxKeys must be an integer between 0 and 2147483647", "maxKeys", limit)
    return min(int(limit), MAX_KEYS)


def encoder(request: Members) -> Encode:
    """How keys are written: as they are, or so that XML can carry whatever they hold."""
    encoding = request.get("EncodingType")
    if not encoding:
        return str
    if encoding != "url":
        raise InvalidArgument("Invalid Encoding Method specified in Request", "encoding-type", encoding)
    return _url


def _url(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else quote(key, safe="/*")


def echo(request: Members, encode: Encode, *names: str) -> Document:
    """What the request said, told again."""
    told = {name: encode(request[name]) for name in names if request.get(name)}
    return {**told, **({"EncodingType": "url"} if request.get("EncodingType") else {})}


def _tells_restores(ctx: Context, request: Members) -> float | None:
    """The time by which restorations are told, if the request asks for them."""
    return ctx.now.timestamp() if "RestoreStatus" in (request.get("OptionalObjectAttributes") or ()) else None


def _storage(meta_text: str, restores: float | None) -> Document:
    """Where an object is kept, as lists tell it."""
    if not meta_text:
        return {"StorageClass": "STANDARD"}
    meta = Meta.load(meta_text)
    told: Document = {"StorageClass": storage_class(meta)}
    if restores is not None and meta.restored > restores:
        told["RestoreStatus"] = {"IsRestoreInProgress": False, "RestoreExpiryDate": meta.restored}
    return told


def _contents(page: Page, encode: Encode, owner: Document | None, *, restores: float | None) -> Document:
    contents = []
    for key, size, etag, modified, checksum, meta_text in page.rows:
        item = {"Key": encode(key), "LastModified": modified, "ETag": etag}
        if checksum:
            algorithm, kind, _ = checksum.split(" ")
            item["ChecksumAlgorithm"] = [algorithm]
            item["ChecksumType"] = kind
        item["Size"] = size
        if owner is not None:
            item["Owner"] = owner
        item.update(_storage(meta_text, restores))
        contents.append(item)
    return {"IsTruncated": bool(page.last), "Contents": contents, "CommonPrefixes": _prefixes(page, encode)}


def _versions(page: Page, encode: Encode, owner: Document, *, restores: float | None) -> Document:
    versions, markers = [], []
    for key, size, etag, modified, checksum, meta_text, _, past, deleted, version_id in page.rows:
        item = {"Key": encode(key), "VersionId": version_id, "IsLatest": not past, "LastModified": modified}
        item["Owner"] = owner
        if deleted:
            markers.append(item)
            continue
        if checksum:
            algorithm, kind, _ = checksum.split(" ")
            item.update(ChecksumAlgorithm=[algorithm], ChecksumType=kind)
        item.update(ETag=etag, Size=size, **_storage(meta_text, restores))
        versions.append(item)
    members: Document = {"IsTruncated": bool(page.last), "Versions": versions, "DeleteMarkers": markers}
    return {**members, "CommonPrefixes": _prefixes(page, encode)}


def _prefixes(page: Page, encode: Encode) -> list[Document]:
    return [{"Prefix": encode(prefix)} for prefix in page.common_prefixes]


def _token(position: str) -> str:
    return urlsafe_b64encode(position.encode()).decode()


def _position(token: str) -> str:
    try:
        return b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidArgument("The continuation token provided is incorrect", "continuation-token") from None


_NOTHING = Page([], [], "")
