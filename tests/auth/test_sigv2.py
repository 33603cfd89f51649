from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest

from clary.auth.sigv4 import Authenticator
from clary.errors import ServiceError
from tests.auth.test_sigv4 import HOST, Caller

if TYPE_CHECKING:
    from clary.auth.credentials import Credentials
    from clary.http import Request
    from tests.auth.conftest import HandClock


@pytest.fixture
def caller(credentials: Credentials, clock: HandClock) -> Caller:
    return Caller(credentials, clock)


@pytest.fixture
def authenticator(credentials: Credentials, clock: HandClock) -> Authenticator:
    return Authenticator(credentials, clock)


def signed(caller: Caller, method: str, path: str) -> Request:
    request = AWSRequest(method, HOST + path, headers={"x-amz-meta-colour": "blue", "Content-Type": "text/plain"})
    return caller.sign(botocore.auth.HmacV1Auth(caller.keys), request)


@pytest.mark.parametrize("path", ["/b/k", "/b/a%20key?versionId=7&acl", "/?uploads", "/b"])
def test_header(authenticator: Authenticator, caller: Caller, path: str) -> None:
    signature = authenticator.authenticate(signed(caller, "PUT", path), "s3", s3=True)
    assert signature.principal.access_key == caller.keys.access_key
    assert signature.keys["s3:signatureversion"] == "AWS"
    assert signature.keys["s3:authtype"] == "REST-HEADER"


@pytest.mark.parametrize("change", [{"path": "/b/other"}, {"method": "DELETE"}, {"query": "acl"}])
def test_changed_request(authenticator: Authenticator, caller: Caller, change: dict[str, str]) -> None:
    request = replace(signed(caller, "PUT", "/b/k"), **change)  # type: ignore[arg-type]  # text fields only
    with pytest.raises(ServiceError) as caught:
        authenticator.authenticate(request, "s3", s3=True)
    assert caught.value.code == "SignatureDoesNotMatch"


def test_old_request(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    request = signed(caller, "GET", "/b/k")
    clock.advance(minutes=16)
    with pytest.raises(ServiceError) as caught:
        authenticator.authenticate(request, "s3", s3=True)
    assert caught.value.code == "RequestTimeTooSkewed"
