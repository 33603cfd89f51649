"""What the store knows of an object."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from clary.store.objects import checksums

if TYPE_CHECKING:
    from clary.store.objects.checksums import Checksum

Versioning = Literal["", "Enabled", "Suspended"]
"""The versioning state of a bucket; empty: never enabled."""

NULL_VERSION = "null"

SealedKey = bytes | None
"""The key of encrypted bytes as their row keeps it; None: they are not encrypted."""


class Protection(NamedTuple):
    """How the bytes of an object are to be kept."""

    customer_key: bytes | None = None
    """The key of the customer that alone opens them."""
    opaque: bool = False
    """Whether the ETag must not tell anything of the bytes."""

    def etag(self, md5: str) -> str:
        """The ETag of bytes with this MD5."""
        return f'"{secrets.token_hex(16) if self.opaque else md5}"'


@dataclass(slots=True)
class Content:
    """Bytes that were received, and what is known of them; not an object yet."""

    size: int
    md5: str
    """In hexadecimal."""
    etag: str
    """With its quotes."""
    checksums: dict[str, str]
    """In Base64, by algorithm."""
    bytes: bytes | None = None
    file: str = ""
    sealed_key: SealedKey = None
    kept: bool = False
    """Whether a committed row names it."""


_META = ("headers", "metadata", "tags", "acl", "owner", "lock", "restored", "customer_key", "replication")


@dataclass(slots=True)
class Meta:
    """What a client said about an object: headers by member name, its own metadata, and tags."""

    headers: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    acl: str | list[dict[str, Any]] = ""
    """The name of a canned access control list, or the grants of another one."""
    owner: str = ""
    """The account that owns the object, where it is not the bucket's."""
    lock: dict[str, Any] = field(default_factory=dict)
    """`Mode` and `RetainUntil` (seconds since 1970), and `LegalHold`."""
    restored: float = 0.0
    """Until when an archived object can be read, in seconds since 1970."""
    customer_key: str = ""
    """What tells the customer's key from others, for objects that are encrypted with one."""
    replication: dict[str, str] = field(default_factory=dict)
    """How it stands with the replicas, by the ARN of the bucket; under an empty name that it is one itself."""

    @property
    def opaque(self) -> bool:
        """Whether ETags tell nothing of the bytes: so it is with keys of KMS and of customers."""
        return bool(self.customer_key) or self.headers.get("ServerSideEncryption", "").startswith("aws:kms")

    def dump(self) -> str:
        """The text that `load` reads."""
        return orjson.dumps({name: value for name in _META if (value := getattr(self, name))}).decode()

    @classmethod
    def load(cls, text: str) -> Meta:
        """What `dump` wrote."""
        return cls(**orjson.loads(text))


@dataclass(slots=True)
class Version:
    """One version of an object, or a delete marker."""

    bucket: str
    past: bool
    key: str
    sequence: int
    version_id: str
    deleted: bool
    size: int
    etag: str
    modified: float
    checksum_text: str
    meta_text: str
    bytes: bytes | None = None
    file: str | None = None
    upload_id: str | None = None
    sealed_key: SealedKey = None
    _meta: Meta | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def checksum(self) -> Checksum | None:
        """The checksum, if there is one."""
        return checksums.parse(self.checksum_text)

    @property
    def meta(self) -> Meta:
        """What the client said about it, read when it is first asked for."""
        if self._meta is None:
            self._meta = Meta.load(self.meta_text)
        return self._meta

    @property
    def has_md5(self) -> bool:
        """Whether the ETag is the MD5 of the bytes: it is not for parts, nor with keys of KMS or of customers."""
        return not (self.meta.opaque or "-" in self.etag)


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is under way."""

    upload_id: str
    bucket: str
    key: str
    initiated: float
    initiator: str
    meta_text: str
    algorithm: str
    checksum_type: str

    @property
    def meta(self) -> Meta:
        """What the object will bear."""
        return Meta.load(self.meta_text)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload, or of the object that became of it."""

    number: int
    size: int
    etag: str
    modified: float
    checksum_text: str
    file: str
    sealed_key: SealedKey

    @property
    def checksum(self) -> Checksum | None:
        """The checksum, if there is one."""
        return checksums.parse(self.checksum_text)
