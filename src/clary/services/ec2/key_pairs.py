"""Key pairs; the platform keeps public halves only."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)

from clary.services.service import in_thread
from clary.store.records import AlreadyExists

from . import filters, kinds
from .errors import InvalidKeyFormat, InvalidKeyPairDuplicate, InvalidParameterValue, MissingParameter, Unsupported
from .resources import Family, tag_list, tags_for

if TYPE_CHECKING:
    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_LONGEST_NAME = 255
_RSA_BITS = 2048


class KeyPairs(Family):
    """Keys that instances are given by name."""

    @in_thread
    def create_key_pair(self, ctx: Context, request: api.CreateKeyPairRequest) -> Document:
        """Makes a key pair; the private half is told this once and not kept."""
        if request.get("KeyFormat", "pem") != "pem":
            raise Unsupported("Clary does not support private keys in the format ppk; ask for pem.")
        key: PrivateKey
        if request.get("KeyType", "rsa") == "rsa":
            key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
            secret = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        else:
            key = ed25519.Ed25519PrivateKey.generate()
            secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        record = self._store(ctx, request, key.public_key(), _created_fingerprint(key))
        return {**_summary(record), "KeyMaterial": secret.decode()}

    @in_thread
    def import_key_pair(self, ctx: Context, request: api.ImportKeyPairRequest) -> Document:
        """Keeps a public key of the user's own."""
        try:
            key = load_ssh_public_key(request.get("PublicKeyMaterial") or b"")
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
            raise InvalidKeyFormat("Key is not in valid OpenSSH public key format")
        return _summary(self._store(ctx, request, key, _imported_fingerprint(key)))

    def describe_key_pairs(self, ctx: Context, request: api.DescribeKeyPairsRequest) -> Document:
        """Key pairs by name, id or filter; their public keys when asked."""
        records = self._resources.all(ctx, kinds.KEY_PAIR)
        for member, wanted in (("name", request.get("KeyNames")), ("id", request.get("KeyPairIds"))):
            if wanted:
                known = {
                    record.name if member == "name" else record.observed["KeyPairId"]: record for record in records
                }
                missing = [each for each in wanted if each not in known]
                if missing:
                    raise kinds.KEY_PAIR.no(missing[0])
                records = [known[each] for each in wanted]
        pairs = []
        for record in records:
            pair = {**_summary(record), "KeyType": record.observed["KeyType"], "CreateTime": record.created}
            if request.get("IncludePublicKey"):
                pair["PublicKey"] = record.observed["PublicKey"]
            pairs.append(pair)
        return {"KeyPairs": filters.select(pairs, request.get("Filters") or (), _FILTERS)}

    def delete_key_pair(self, ctx: Context, request: api.DeleteKeyPairRequest) -> api.DeleteKeyPairResult:
        """Forgets a key pair; one that is not there is no error, as on AWS."""
        if not request.get("KeyName") and not request.get("KeyPairId"):
            raise MissingParameter("The request must contain the parameter keyName or keyPairId")
        for record in self._resources.all(ctx, kinds.KEY_PAIR):
            if record.name == request.get("KeyName") or record.observed["KeyPairId"] == request.get("KeyPairId"):
                self._resources.records.delete(record)
                return {"Return": True, "KeyPairId": record.observed["KeyPairId"]}
        return {"Return": True}

    def _store(self, ctx: Context, request: Members, key: PublicKey, fingerprint: str) -> Record:
        name = request["KeyName"]
        if not name or len(name) > _LONGEST_NAME:
            raise InvalidParameterValue(f"Value ({name}) for parameter KeyName is invalid.")
        text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        observed = {
            "KeyPairId": kinds.KEY_PAIR.new_id(),
            "KeyFingerprint": fingerprint,
            "KeyType": "rsa" if isinstance(key, rsa.RSAPublicKey) else "ed25519",
            "PublicKey": f"{text} {name}",
        }
        tags = tags_for(request, kinds.KEY_PAIR)
        try:
            return self._resources.create(ctx, kinds.KEY_PAIR, name, {"KeyName": name}, observed=observed, tags=tags)
        except AlreadyExists:
            raise InvalidKeyPairDuplicate("The keypair already exists") from None


def _summary(record: Record) -> Document:
    return {
        "KeyPairId": record.observed["KeyPairId"],
        "KeyName": record.name,
        "KeyFingerprint": record.observed["KeyFingerprint"],
        "Tags": tag_list(record.tags),
    }


def _created_fingerprint(key: PrivateKey) -> str:
    """AWS hashes the private half of the RSA keys that it makes.

    Source: "Verify the fingerprint of your key pair" in the EC2 user guide.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _imported_fingerprint(key.public_key())
    content = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _colons(hashlib.sha1(content, usedforsecurity=False).hexdigest())


def _imported_fingerprint(key: PublicKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        content = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return _colons(hashlib.md5(content, usedforsecurity=False).hexdigest())
    content = base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _colons(digest: str) -> str:
    return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))


_FILTERS = filters.table("KeyPairId KeyName", {"fingerprint": "KeyFingerprint"})
