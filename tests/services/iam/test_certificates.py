from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.services.iam.conftest import ACCOUNT, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud


def pair() -> tuple[str, str]:
    """A certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin)
    certificate = builder.not_valid_after(begin + timedelta(days=365)).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()


def test_life_of_a_server_certificate(cloud: Cloud, iam: Any) -> None:
    body, key = pair()
    named = {"ServerCertificateName": "web"}
    made = iam.upload_server_certificate(**named, CertificateBody=body, PrivateKey=key, Path="/edge/")
    metadata = made["ServerCertificateMetadata"]
    assert metadata["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/edge/web"
    assert metadata["ServerCertificateId"].startswith("ASCA")
    assert metadata["Expiration"] == datetime(2027, 1, 1, tzinfo=UTC)
    found = iam.get_server_certificate(**named)["ServerCertificate"]
    assert found["CertificateBody"].strip() == body.strip()
    assert key not in repr(cloud.parts.platform.records.by_arn(metadata["Arn"]))
    assert len(iam.list_server_certificates(PathPrefix="/edge/")["ServerCertificateMetadataList"]) == 1
    iam.tag_server_certificate(**named, Tags=[{"Key": "a", "Value": "b"}])
    assert iam.list_server_certificate_tags(**named)["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.update_server_certificate(**named, NewServerCertificateName="web2")
    assert refusal(iam.get_server_certificate, **named) == (
        "NoSuchEntity",
        "The Server Certificate with name web cannot be found.",
    )
    iam.delete_server_certificate(ServerCertificateName="web2")


def test_server_certificates_that_are_refused(iam: Any) -> None:
    body, key = pair()
    other = pair()[1]
    upload = iam.upload_server_certificate
    named = {"ServerCertificateName": "web"}
    assert refusal(upload, **named, CertificateBody="x", PrivateKey=key)[0] == "MalformedCertificate"
    assert refusal(upload, **named, CertificateBody=body, PrivateKey="x")[0] == "MalformedCertificate"
    assert refusal(upload, **named, CertificateBody=body, PrivateKey=other)[0] == "KeyPairMismatch"


def test_life_of_a_signing_certificate(iam: Any) -> None:
    iam.create_user(UserName="ada")
    body = pair()[0]
    made = iam.upload_signing_certificate(UserName="ada", CertificateBody=body)["Certificate"]
    assert (made["Status"], made["UserName"]) == ("Active", "ada")
    assert refusal(iam.upload_signing_certificate, UserName="ada", CertificateBody=body)[0] == "DuplicateCertificate"
    iam.upload_signing_certificate(UserName="ada", CertificateBody=pair()[0])
    full = refusal(iam.upload_signing_certificate, UserName="ada", CertificateBody=pair()[0])
    assert full == ("LimitExceeded", "Cannot exceed quota for CertificatesPerUser: 2")
    named = {"UserName": "ada", "CertificateId": made["CertificateId"]}
    iam.update_signing_certificate(**named, Status="Inactive")
    statuses = [each["Status"] for each in iam.list_signing_certificates(UserName="ada")["Certificates"]]
    assert statuses == ["Inactive", "Active"]
    assert (
        refusal(iam.delete_user, UserName="ada")[1] == "Cannot delete entity, must delete signing certificates first."
    )
    iam.delete_signing_certificate(**named)
    assert refusal(iam.delete_signing_certificate, **named)[0] == "NoSuchEntity"


@pytest.mark.parametrize("body", ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_signing_certificates_that_are_refused(iam: Any, body: str) -> None:
    iam.create_user(UserName="ada")
    assert refusal(iam.upload_signing_certificate, UserName="ada", CertificateBody=body)[0] == "MalformedCertificate"
