from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.services.iam.conftest import refusal


def public(bits: int = 2048) -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()


def openssh(key: Any) -> str:
    return str(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


@pytest.fixture(scope="module")
def key() -> Any:
    return public()


def test_life(iam: Any, key: Any) -> None:
    iam.create_user(UserName="ada")
    body = openssh(key)
    made = iam.upload_ssh_public_key(UserName="ada", SSHPublicKeyBody=f"{body} ada@example")["SSHPublicKey"]
    assert made["SSHPublicKeyId"].startswith("APKA")
    assert (made["Status"], len(made["Fingerprint"])) == ("Active", 47)
    named = {"UserName": "ada", "SSHPublicKeyId": made["SSHPublicKeyId"]}
    assert iam.get_ssh_public_key(**named, Encoding="SSH")["SSHPublicKey"]["SSHPublicKeyBody"] == body
    pem = iam.get_ssh_public_key(**named, Encoding="PEM")["SSHPublicKey"]["SSHPublicKeyBody"]
    assert pem.startswith("-----BEGIN PUBLIC KEY-----")
    assert refusal(iam.upload_ssh_public_key, UserName="ada", SSHPublicKeyBody=pem)[0] == "DuplicateSSHPublicKey"
    iam.update_ssh_public_key(**named, Status="Inactive")
    assert iam.list_ssh_public_keys(UserName="ada")["SSHPublicKeys"][0]["Status"] == "Inactive"
    assert refusal(iam.delete_user, UserName="ada")[1] == "Cannot delete entity, must delete SSH public keys first."
    iam.delete_ssh_public_key(**named)
    assert refusal(iam.get_ssh_public_key, **named, Encoding="SSH") == (
        "NoSuchEntity",
        f"The Public Key with id {named['SSHPublicKeyId']} cannot be found.",
    )


def test_keys_that_are_refused(iam: Any) -> None:
    iam.create_user(UserName="ada")
    for body in ("nonsense", openssh(public(1024)), openssh(ed25519.Ed25519PrivateKey.generate().public_key())):
        assert refusal(iam.upload_ssh_public_key, UserName="ada", SSHPublicKeyBody=body)[0] == "InvalidPublicKey"
