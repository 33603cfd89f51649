"""SSH public keys of users: checked and recorded; AWS uses them for CodeCommit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
    load_ssh_public_key,
)

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.services.iam import pages
from clary.services.iam.directory import Directory, own_user
from clary.services.iam.errors import DuplicateSSHPublicKey, InvalidPublicKey, LimitExceeded, NoSuchEntity
from clary.services.service import in_thread, recorded
from clary.store.records import Record

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

_PER_USER = 5
_SHORTEST_BITS = 2048


class SshPublicKeys:
    """Keys of users; nothing here lets anybody in by them."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @recorded
    @in_thread
    def upload_ssh_public_key(self, ctx: Context, request: api.UploadSSHPublicKeyRequest) -> Document:
        """A new key of a user."""
        user = self._directory.find(ctx, entities.USER, request["UserName"])
        key = _public_key(request["SSHPublicKeyBody"])
        fingerprint = _fingerprint(key)
        present = self._of(user)
        if any(each.observed["Fingerprint"] == fingerprint for each in present):
            raise DuplicateSSHPublicKey("The specified SSH public key already exists.")
        if len(present) >= _PER_USER:
            raise LimitExceeded(f"Cannot exceed quota for SSHPublicKeysPerUser: {_PER_USER}")
        spec = {entities.OWNER: user.observed["UserId"], "Key": _text(key, "SSH"), "Pem": _text(key, "PEM")}
        record = Record(
            entities.SSH_PUBLIC_KEY, ctx.account, "", unique_id("APKA"), "", spec, ctx.now, ctx.now, "Active",
            {"Fingerprint": fingerprint},
        )  # fmt: skip
        return {"SSHPublicKey": _shape(user, self._directory.records.create(record), "SSH")}

    @recorded
    def get_ssh_public_key(self, ctx: Context, request: api.GetSSHPublicKeyRequest) -> Document:
        """A key, as SSH or as PEM writes it."""
        user, key = self._find(ctx, request)
        return {"SSHPublicKey": _shape(user, key, request["Encoding"])}

    @recorded
    def list_ssh_public_keys(self, ctx: Context, request: api.ListSSHPublicKeysRequest) -> Document:
        """The keys of a user."""
        user = self._directory.find(ctx, entities.USER, own_user(ctx, request))
        return pages.of_items("SSHPublicKeys", self._of(user), request, lambda key: _metadata(user, key))

    @recorded
    def update_ssh_public_key(self, ctx: Context, request: api.UpdateSSHPublicKeyRequest) -> None:
        """Switches a key on or off."""
        _, key = self._find(ctx, request)
        self._directory.save(replace(key, status=request["Status"], modified=ctx.now))

    @recorded
    def delete_ssh_public_key(self, ctx: Context, request: api.DeleteSSHPublicKeyRequest) -> None:
        """Removes a key."""
        self._directory.records.delete(self._find(ctx, request)[1])

    def _of(self, user: Record) -> list[Record]:
        return entities.owned(self._directory.records, entities.SSH_PUBLIC_KEY, user)

    def _find(self, ctx: Context, request: Members) -> tuple[Record, Record]:
        user = self._directory.find(ctx, entities.USER, request["UserName"])
        identifier = request["SSHPublicKeyId"]
        for key in self._of(user):
            if key.name == identifier:
                return user, key
        raise NoSuchEntity(f"The Public Key with id {identifier} cannot be found.")


def _public_key(body: str) -> RSAPublicKey:
    try:
        load = load_pem_public_key if body.lstrip().startswith("-----BEGIN") else load_ssh_public_key
        key = load(body.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidPublicKey("The public key is invalid.") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < _SHORTEST_BITS:
        raise InvalidPublicKey(f"The public key must be an RSA key of at least {_SHORTEST_BITS} bits.")
    return key


def _text(key: RSAPublicKey, encoding: str) -> str:
    if encoding == "SSH":
        return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _fingerprint(key: RSAPublicKey) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(der, usedforsecurity=False).hexdigest()  # as AWS tells them


def _metadata(user: Record, key: Record) -> Document:
    return {
        "UserName": user.name,
        "SSHPublicKeyId": key.name,
        "Status": key.status,
        "UploadDate": key.created,
    }


def _shape(user: Record, key: Record, encoding: str) -> Document:
    fingerprint = key.observed["Fingerprint"]
    return {
        **_metadata(user, key),
        "Fingerprint": ":".join(fingerprint[start : start + 2] for start in range(0, len(fingerprint), 2)),
        "SSHPublicKeyBody": key.spec["Key" if encoding == "SSH" else "Pem"],
    }
