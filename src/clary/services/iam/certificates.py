"""Certificates of servers, and those with which users sign old-fashioned calls: checked and recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.services.iam import pages
from clary.services.iam.directory import Directory, own_user, tag_list
from clary.services.iam.errors import (
    DuplicateCertificate,
    KeyPairMismatch,
    LimitExceeded,
    MalformedCertificate,
    NoSuchEntity,
)
from clary.services.service import in_thread, recorded
from clary.store.records import Query, Record

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

_PER_USER = 2


class ServerCertificates:
    """Certificates of servers with their sealed keys; no load balancer here uses them."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)
        self._keyring = platform.keyring

    @recorded
    @in_thread
    def upload_server_certificate(self, ctx: Context, request: api.UploadServerCertificateRequest) -> Document:
        """A new server certificate, whose key fits."""
        certificate = _certificate(request["CertificateBody"])
        _refuse_other_key(certificate, request["PrivateKey"])
        if "CertificateChain" in request:
            _refuse_unreadable(request["CertificateChain"])
        identifier = unique_id("ASCA")
        spec = {name: value for name, value in request.items() if name != "PrivateKey"}
        spec["SealedPrivateKey"] = self._keyring.seal_text(request["PrivateKey"], f"server certificate:{identifier}")
        observed = {"ServerCertificateId": identifier, "Expiration": certificate.not_valid_after_utc.isoformat()}
        name = request["ServerCertificateName"]
        record = self._directory.create(ctx, entities.SERVER_CERTIFICATE, name, spec, observed)
        answer: Document = {"ServerCertificateMetadata": _metadata(record)}
        return {**answer, "Tags": tag_list(record.tags)} if record.tags else answer

    @recorded
    def get_server_certificate(self, ctx: Context, request: api.GetServerCertificateRequest) -> Document:
        """A server certificate without its key."""
        record = self._find(ctx, request)
        shape = {"ServerCertificateMetadata": _metadata(record), "CertificateBody": record.spec["CertificateBody"]}
        chain = {name: record.spec[name] for name in ("CertificateChain",) if name in record.spec}
        return {"ServerCertificate": {**shape, **chain, "Tags": tag_list(record.tags)}}

    @recorded
    def list_server_certificates(self, ctx: Context, request: api.ListServerCertificatesRequest) -> Document:
        """The server certificates below a path."""
        query = Query(entities.SERVER_CERTIFICATE, ctx.account)
        return pages.of_records("ServerCertificateMetadataList", self._directory.records, query, request, _metadata)

    @recorded
    def update_server_certificate(self, ctx: Context, request: api.UpdateServerCertificateRequest) -> None:
        """Renames or moves a server certificate."""
        record = self._find(ctx, request)
        name = request.get("NewServerCertificateName", record.name)
        path = request.get("NewPath", record.spec["Path"])
        self._directory.rename(ctx, record, name, ServerCertificateName=name, Path=path)

    @recorded
    def delete_server_certificate(self, ctx: Context, request: api.DeleteServerCertificateRequest) -> None:
        """Removes a server certificate."""
        self._directory.records.delete(self._find(ctx, request))

    def _find(self, ctx: Context, request: Members) -> Record:
        return self._directory.find(ctx, entities.SERVER_CERTIFICATE, request["ServerCertificateName"])


class SigningCertificates:
    """Certificates of users; no service here takes signatures of them."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @recorded
    @in_thread
    def upload_signing_certificate(self, ctx: Context, request: api.UploadSigningCertificateRequest) -> Document:
        """A new certificate of a user."""
        user = self._user(ctx, request)
        body = request["CertificateBody"]
        fingerprint = _certificate(body).fingerprint(SHA256()).hex()
        present = self._of(user)
        if any(each.observed["Fingerprint"] == fingerprint for each in present):
            raise DuplicateCertificate("The specified certificate already exists.")
        if len(present) >= _PER_USER:
            raise LimitExceeded(f"Cannot exceed quota for CertificatesPerUser: {_PER_USER}")
        spec = {entities.OWNER: user.observed["UserId"], "CertificateBody": body}
        identifier = unique_id("", 24)
        record = Record(
            entities.SIGNING_CERTIFICATE, ctx.account, "", identifier, "", spec, ctx.now, ctx.now, "Active",
            {"Fingerprint": fingerprint},
        )  # fmt: skip
        return {"Certificate": _signing(user, self._directory.records.create(record))}

    @recorded
    def list_signing_certificates(self, ctx: Context, request: api.ListSigningCertificatesRequest) -> Document:
        """The certificates of a user."""
        user = self._user(ctx, request)
        return pages.of_items("Certificates", self._of(user), request, lambda record: _signing(user, record))

    @recorded
    def update_signing_certificate(self, ctx: Context, request: api.UpdateSigningCertificateRequest) -> None:
        """Switches a certificate on or off."""
        self._directory.save(replace(self._find(ctx, request), status=request["Status"], modified=ctx.now))

    @recorded
    def delete_signing_certificate(self, ctx: Context, request: api.DeleteSigningCertificateRequest) -> None:
        """Removes a certificate."""
        self._directory.records.delete(self._find(ctx, request))

    def _user(self, ctx: Context, request: Members) -> Record:
        return self._directory.find(ctx, entities.USER, own_user(ctx, request))

    def _of(self, user: Record) -> list[Record]:
        return entities.owned(self._directory.records, entities.SIGNING_CERTIFICATE, user)

    def _find(self, ctx: Context, request: Members) -> Record:
        identifier = request["CertificateId"]
        found = [each for each in self._of(self._user(ctx, request)) if each.name == identifier]
        if not found:
            raise NoSuchEntity(f"The Certificate with id {identifier} cannot be found.")
        return found[0]


def _certificate(body: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(body.encode())
    except ValueError as error:
        raise MalformedCertificate(
            "Unable to parse certificate. Please ensure the certificate is in PEM format."
        ) from error


def _refuse_unreadable(chain: str) -> None:
    try:
        x509.load_pem_x509_certificates(chain.encode())
    except ValueError as error:
        raise MalformedCertificate("Unable to parse certificate chain.") from error


def _refuse_other_key(certificate: x509.Certificate, private_key: str) -> None:
    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise MalformedCertificate("Unable to parse key. Please ensure the key is in PEM format.") from error
    wanted, given = (
        each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for each in (certificate.public_key(), key.public_key())
    )
    if wanted != given:
        raise KeyPairMismatch("Private key does not match the certificate.")


def _metadata(record: Record) -> Document:
    return {
        "Path": record.spec["Path"],
        "ServerCertificateName": record.name,
        "ServerCertificateId": record.observed["ServerCertificateId"],
        "Arn": record.arn,
        "UploadDate": record.created,
        "Expiration": record.observed["Expiration"],
    }


def _signing(user: Record, record: Record) -> Document:
    return {
        "UserName": user.name,
        "CertificateId": record.name,
        "CertificateBody": record.spec["CertificateBody"],
        "Status": record.status,
        "UploadDate": record.created,
    }
