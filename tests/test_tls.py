from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config

from clary.tls import connect_host

if TYPE_CHECKING:
    from tests.server import ClaryServer


@pytest.mark.parametrize(
    ("head", "host"),
    [
        (b"CONNECT sts.us-east-1.amazonaws.com:443 HTTP/1.1\r\n\r\n", "sts.us-east-1.amazonaws.com"),
        (b"CONNECT s3.cn-north-1.amazonaws.com.cn:443 HTTP/1.1\r\n\r\n", "s3.cn-north-1.amazonaws.com.cn"),
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", None),
        (b"CONNECT evil-amazonaws.com:443 HTTP/1.1\r\n\r\n", None),
        (b"CONNECT sts.us-east-1.amazonaws.com:22 HTTP/1.1\r\n\r\n", None),
        (b"GET http://sts.us-east-1.amazonaws.com/ HTTP/1.1\r\n\r\n", None),
        (b"\r\n\r\n", None),
    ],
)
def test_only_aws_hosts_are_tunnelled(head: bytes, host: str | None) -> None:
    assert connect_host(head) == host


def test_a_client_with_a_fixed_aws_address_reaches_the_platform(server: ClaryServer) -> None:
    sts = server.client(
        "sts",
        endpoint_url="https://sts.us-east-1.amazonaws.com",
        verify=str(server.home / "tls" / "ca.pem"),
        config=Config(proxies={"https": f"http://127.0.0.1:{server.port + 1}"}),
    )
    assert sts.get_caller_identity()["Arn"].endswith(":root")


def test_the_certificate_names_the_host_and_comes_from_our_authority(server: ClaryServer) -> None:
    context = ssl.create_default_context(cafile=str(server.home / "tls" / "ca.pem"))
    with socket.create_connection(("127.0.0.1", server.port + 1)) as plain:
        plain.sendall(b"CONNECT iam.amazonaws.com:443 HTTP/1.1\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 200")
        with context.wrap_socket(plain, server_hostname="iam.amazonaws.com") as secure:
            certificate = secure.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("DNS", "iam.amazonaws.com"),)


def test_the_key_of_the_authority_is_private(server: ClaryServer) -> None:
    assert (server.home / "tls" / "ca.key").stat().st_mode & 0o077 == 0
    assert not (server.home / "tls" / "leaf.pem").exists()
