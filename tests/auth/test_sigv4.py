from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.auth.payload import SIGNED_CHUNKS, ChunkVerifier
from clary.auth.post_policy import EntityTooLarge, refuse_violation
from clary.auth.signing import Scope, SigningKey
from clary.auth.sigv4 import Authenticator
from clary.clock import SystemClock
from clary.context import ANONYMOUS, PrincipalKind
from clary.errors import AccessDenied, ServiceError
from clary.http import BytesBody, Request, read
from clary.protocol.stream import AwsChunkedBody
from tests.auth.conftest import ACCOUNT, Accounts, HandClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from clary.auth.credentials import Credentials

HOST = "http://127.0.0.1:4100"


class Caller:
    """Signs requests with botocore, which looks at the clock of this machine; so does the test's clock at first."""

    def __init__(self, credentials: Credentials, clock: HandClock) -> None:
        root = credentials.bootstrap()
        assert root is not None
        self.keys = botocore.credentials.Credentials(root["AccessKeyId"], root["SecretAccessKey"])
        clock.time = SystemClock().now().replace(microsecond=0)

    def sign(self, signer: Any, request: AWSRequest) -> Request:
        request.context["payload_signing_enabled"] = True
        signer.add_auth(request)
        return received(request)

    def header(self, service: str = "sagemaker", method: str = "POST", path: str = "/", body: bytes = b"{}") -> Request:
        kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "SageMaker.ListModels"}
        request = AWSRequest(method, HOST + path, headers=headers, data=body)
        return self.sign(kind(self.keys, service, "eu-west-1"), request)

    def presigned(self, path: str = "/b/k", expires: int = 60) -> Request:
        signer = botocore.auth.S3SigV4QueryAuth(self.keys, "s3", "eu-west-1", expires=expires)
        return self.sign(signer, AWSRequest("GET", HOST + path))


def received(request: AWSRequest) -> Request:
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    return Request(
        prepared.method,
        parts.path or "/",
        parts.query,
        {**headers, "host": parts.netloc},
        BytesBody(prepared.body or b""),
    )


def _text(value: Any) -> str:
    return str(value, "ascii") if isinstance(value, bytes) else str(value)


@pytest.fixture
def caller(credentials: Credentials, clock: HandClock) -> Caller:
    return Caller(credentials, clock)


@pytest.fixture
def authenticator(credentials: Credentials, clock: HandClock) -> Authenticator:
    return Authenticator(credentials, clock)


def code(refused: Callable[[], object]) -> str:
    with pytest.raises(ServiceError) as caught:
        refused()
    return caught.value.code


def test_root_signs_in_the_header(authenticator: Authenticator, caller: Caller) -> None:
    signature = authenticator.authenticate(caller.header(), "sagemaker", s3=False)
    assert signature.principal.kind is PrincipalKind.ROOT
    assert signature.principal.arn == f"arn:aws:iam::{ACCOUNT}:root"
    assert signature.region == "eu-west-1"


def test_user_signs(authenticator: Authenticator, caller: Caller, accounts: Accounts) -> None:
    accounts.user("ada")
    key = accounts.key("ada")
    caller.keys = botocore.credentials.Credentials(key.name, accounts.credentials.secret_of(key))
    principal = authenticator.authenticate(caller.header(), "sagemaker", s3=False).principal
    assert (principal.kind, principal.name, principal.user_id) == (PrincipalKind.USER, "ada", "IDada")


@pytest.mark.parametrize(
    "path", ["/b/k", "/b/a%20b%2Bc%21/%E2%82%AC", "/b//double", "/b/k?list-type=2&prefix=a%2Fb&acl"]
)
def test_s3_paths_and_queries(authenticator: Authenticator, caller: Caller, path: str) -> None:
    http = caller.header("s3", "GET", path, b"")
    assert authenticator.authenticate(http, "s3", s3=True).principal.kind is PrincipalKind.ROOT


@pytest.mark.parametrize("path", ["/endpoints/a%20b/invocations", "/a/./b/../c", "/x/?a=2&a=1&b"])
def test_other_paths_are_normalised(authenticator: Authenticator, caller: Caller, path: str) -> None:
    http = caller.header("sagemaker", "POST", path)
    assert authenticator.authenticate(http, "sagemaker", s3=False).region == "eu-west-1"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_changed_byte_fails(authenticator: Authenticator, caller: Caller, data: st.DataObject) -> None:
    http = caller.header("s3", "PUT", "/bucket/key?tagging", b"the content")
    part = data.draw(st.sampled_from(("method", "path", "query", "body", "x-amz-date", "authorization", "host")))
    if part == "body":
        changed = replace(http, body=BytesBody(_changed(b"the content".decode(), data).encode("latin-1")))
    elif part in ("method", "path", "query"):
        changed = replace(http)
        setattr(changed, part, _changed(getattr(http, part), data))
    else:
        changed = replace(http, headers={**http.headers, part: _changed(http.headers[part], data)})
    with pytest.raises(ServiceError):
        authenticator.authenticate(changed, "s3", s3=True)


def _changed(text: str, data: st.DataObject) -> str:
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.characters(min_codepoint=33, max_codepoint=126).filter(lambda each: each not in (text[position], "%", "&"))
    )
    return text[:position] + other + text[position + 1 :]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("sagemaker", "UnrecognizedClientException"),
        ("iam", "InvalidClientTokenId"),
        ("sts", "InvalidClientTokenId"),
        ("ec2", "AuthFailure"),
        ("s3", "InvalidAccessKeyId"),
    ],
)
def test_unknown_key(authenticator: Authenticator, caller: Caller, service: str, expected: str) -> None:
    caller.keys = botocore.credentials.Credentials("AKIAIOSFODNN7EXAMPLE", "secret")
    http = caller.header(service)
    assert code(lambda: authenticator.authenticate(http, service, service == "s3")) == expected


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("sagemaker", "InvalidSignatureException"),
        ("iam", "SignatureDoesNotMatch"),
        ("ec2", "AuthFailure"),
        ("s3", "SignatureDoesNotMatch"),
    ],
)
def test_wrong_secret(authenticator: Authenticator, caller: Caller, service: str, expected: str) -> None:
    caller.keys = botocore.credentials.Credentials(caller.keys.access_key, "another")
    http = caller.header(service)
    assert code(lambda: authenticator.authenticate(http, service, service == "s3")) == expected


@pytest.mark.parametrize("minutes", [16, -16])
@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("sagemaker", "InvalidSignatureException"),
        ("sts", "SignatureDoesNotMatch"),
        ("ec2", "RequestExpired"),
        ("s3", "RequestTimeTooSkewed"),
    ],
)
def test_skewed_clock(
    authenticator: Authenticator, caller: Caller, clock: HandClock, service: str, expected: str, minutes: int
) -> None:
    http = caller.header(service)
    clock.advance(minutes=minutes)
    assert code(lambda: authenticator.authenticate(http, service, service == "s3")) == expected


def test_skew_of_fourteen_minutes_is_fine(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    http = caller.header()
    clock.advance(minutes=14)
    assert authenticator.authenticate(http, "sagemaker", s3=False).principal.kind is PrincipalKind.ROOT


def test_expiry_is_explained(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    http = caller.header("sts")
    clock.advance(hours=1)
    with pytest.raises(
        ServiceError, match=r"^Signature expired: \d{8}T\d{6}Z is now earlier than \w{16} \(\w{16} - 15 min\.\)$"
    ):
        authenticator.authenticate(http, "sts", s3=False)


def test_unsigned_requests(authenticator: Authenticator) -> None:
    http = Request("GET", "/b/k", "", {"host": "h"}, BytesBody(b""))
    assert authenticator.authenticate(http, "s3", s3=True).principal is ANONYMOUS
    assert code(lambda: authenticator.authenticate(http, "iam", s3=False)) == "MissingAuthenticationToken"


@pytest.mark.parametrize(
    ("authorization", "s3", "expected"),
    [
        ("AWS4-HMAC-SHA256 Credential=x", False, "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 Credential=x", True, "AuthorizationHeaderMalformed"),
        ("AWS AKIA", True, "InvalidArgument"),
        ("AWS AKIA:signature", True, "AccessDenied"),
        ("Bearer é", True, "InvalidRequest"),
        ("", False, "IncompleteSignature"),
    ],
)
def test_unreadable_header(authenticator: Authenticator, authorization: str, s3: bool, expected: str) -> None:
    http = Request("GET", "/", "", {"host": "h", "authorization": authorization}, BytesBody(b""))
    assert code(lambda: authenticator.authenticate(http, "s3" if s3 else "iam", s3)) == expected


def test_scope_of_another_service(authenticator: Authenticator, caller: Caller) -> None:
    http = caller.header("iam")
    assert code(lambda: authenticator.authenticate(http, "sts", s3=False)) == "SignatureDoesNotMatch"


def test_unsigned_amz_header_is_refused(authenticator: Authenticator, caller: Caller) -> None:
    http = caller.header("s3", "PUT", "/b/k", b"x")
    http.headers["x-amz-acl"] = "public-read"
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "AccessDenied"


def test_streamed_body_is_verified(authenticator: Authenticator, caller: Caller) -> None:
    http = caller.header("s3", "PUT", "/b/k", b"one two")
    http.body = _Stream(b"one ", b"two")
    authenticator.authenticate(http, "s3", s3=True)
    assert asyncio.run(read(http.body, 100)) == b"one two"
    http = caller.header("s3", "PUT", "/b/k", b"one two")
    http.body = _Stream(b"one ", b"too")
    authenticator.authenticate(http, "s3", s3=True)
    assert code(lambda: asyncio.run(read(http.body, 100))) == "XAmzContentSHA256Mismatch"


class _Stream:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


def test_presigned_v4(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    http = caller.presigned("/b/a%20key?versionId=7")
    assert authenticator.authenticate(http, "s3", s3=True).region == "eu-west-1"
    clock.advance(seconds=75)
    with pytest.raises(AccessDenied, match="Request has expired"):
        authenticator.authenticate(http, "s3", s3=True)


def test_presigned_v4_changed(authenticator: Authenticator, caller: Caller) -> None:
    http = replace(caller.presigned(), path="/b/other")
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "SignatureDoesNotMatch"
    http = caller.presigned()
    http.query = http.query.replace("X-Amz-Expires=60", "X-Amz-Expires=604801")
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "AuthorizationQueryParametersError"
    http.query = "X-Amz-Signature=%C3%A9"
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "AuthorizationQueryParametersError"


@pytest.mark.parametrize("path", ["/b/a%20key", "/b/k?versionId=7&response-content-type=text%2Fplain", "/b?uploads"])
def test_presigned_v2(authenticator: Authenticator, caller: Caller, clock: HandClock, path: str) -> None:
    http = caller.sign(botocore.auth.HmacV1QueryAuth(caller.keys, expires=60), AWSRequest("GET", HOST + path))
    assert authenticator.authenticate(http, "s3", s3=True).principal.kind is PrincipalKind.ROOT
    changed = replace(http, method="PUT")
    assert code(lambda: authenticator.authenticate(changed, "s3", s3=True)) == "SignatureDoesNotMatch"
    clock.advance(seconds=75)
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "AccessDenied"


@pytest.mark.parametrize("version", [2, 4])
def test_presigned_by_a_session(
    authenticator: Authenticator, caller: Caller, credentials: Credentials, accounts: Accounts, version: int
) -> None:
    issued = credentials.issue_session(accounts.role("worker"), "job", timedelta(hours=1))
    caller.keys = botocore.credentials.Credentials(
        issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]
    )
    if version == 4:
        http = caller.presigned("/b/k")
    else:
        http = caller.sign(botocore.auth.HmacV1QueryAuth(caller.keys), AWSRequest("GET", HOST + "/b/k"))
    assert authenticator.authenticate(http, "s3", s3=True).principal.name == "worker"


def test_presigned_v2_of_a_host_bucket(credentials: Credentials, caller: Caller, clock: HandClock) -> None:
    authenticator = Authenticator(credentials, clock, s3_domain="s3.lan")
    request = AWSRequest("GET", "http://pictures.s3.lan/k", auth_path="/pictures/k")
    http = caller.sign(botocore.auth.HmacV1QueryAuth(caller.keys), request)
    assert authenticator.authenticate(http, "s3", s3=True).principal.kind is PrincipalKind.ROOT


def test_chunk_signatures_form_a_chain() -> None:
    scope = Scope("20260301", "eu-west-1", "s3")
    key = _signing_key("secret", scope)
    moment, seed = "20260301T120000Z", "0" * 64
    first = _chunk_signature(key, scope, moment, seed, b"first")
    last = _chunk_signature(key, scope, moment, first, b"")
    verifier = ChunkVerifier(SigningKey("secret", scope), scope, moment, seed)
    verifier.verify_chunk(hashlib.sha256(b"first").hexdigest(), first)
    verifier.verify_chunk(hashlib.sha256(b"").hexdigest(), last)
    again = ChunkVerifier(SigningKey("secret", scope), scope, moment, seed)
    assert code(lambda: again.verify_chunk(hashlib.sha256(b"").hexdigest(), last)) == "SignatureDoesNotMatch"


def _signing_key(secret: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _chunk_signature(key: bytes, scope: Scope, moment: str, previous: str, chunk: bytes) -> str:
    """As the chapter on signature calculations for chunked uploads in the S3 API reference has it."""
    lines = ["AWS4-HMAC-SHA256-PAYLOAD", moment, scope.text(), previous]
    lines += [hashlib.sha256(b"").hexdigest(), hashlib.sha256(chunk).hexdigest()]
    return hmac.digest(key, "\n".join(lines).encode(), "sha256").hex()


def test_body_of_signed_chunks(authenticator: Authenticator, caller: Caller) -> None:
    request = AWSRequest("PUT", HOST + "/b/k", headers={"X-Amz-Content-SHA256": SIGNED_CHUNKS[0]}, data=b"")
    signer = botocore.auth.SigV4Auth(caller.keys, "s3", "eu-west-1")
    http = caller.sign(signer, request)
    verifiers = authenticator.authenticate(http, "s3", s3=True).verifiers
    assert verifiers
    moment, seed = http.headers["x-amz-date"], http.headers["authorization"][-64:]
    scope = Scope(moment[:8], "eu-west-1", "s3")
    key = _signing_key(caller.keys.secret_key, scope)
    content, previous = b"", seed
    for chunk in (b"first", b"second", b""):
        previous = _chunk_signature(key, scope, moment, previous, chunk)
        content += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), previous.encode(), chunk)
    assert asyncio.run(read(AwsChunkedBody(BytesBody(content), *verifiers), 100)) == b"firstsecond"
    verifiers = authenticator.authenticate(http, "s3", s3=True).verifiers
    assert verifiers
    forged = AwsChunkedBody(BytesBody(content.replace(b"second", b"sekond")), *verifiers)
    assert code(lambda: asyncio.run(read(forged, 100))) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("signer", [botocore.auth.S3SigV4PostAuth, botocore.auth.HmacV1PostAuth])
def test_form_upload(authenticator: Authenticator, caller: Caller, clock: HandClock, signer: Any) -> None:
    request = AWSRequest("POST", HOST + "/b")
    request.context["s3-presign-post-fields"] = {"key": "photos/x"}
    request.context["s3-presign-post-policy"] = {
        "expiration": (clock.now() + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [{"bucket": "b"}, ["starts-with", "$key", "photos/"], ["content-length-range", 1, 10]],
    }
    arguments = (caller.keys, "s3", "eu-west-1") if signer is botocore.auth.S3SigV4PostAuth else (caller.keys,)
    signer(*arguments).add_auth(request)
    form = {name.lower(): value for name, value in request.context["s3-presign-post-fields"].items()}
    assert authenticator.authenticate_form(form).principal.kind is PrincipalKind.ROOT
    refuse_violation(form, "b", 5, clock.now())
    with pytest.raises(AccessDenied, match="Policy Condition failed"):
        refuse_violation({**form, "key": "other"}, "b", 5, clock.now())
    with pytest.raises(EntityTooLarge):
        refuse_violation(form, "b", 11, clock.now())
    with pytest.raises(AccessDenied, match="Extra input fields: acl"):
        refuse_violation({**form, "acl": "public-read"}, "b", 5, clock.now())
    with pytest.raises(AccessDenied, match="Policy expired"):
        refuse_violation(form, "b", 5, clock.now() + timedelta(hours=1))
    policy = next(name for name in form if "signature" in name)
    assert code(lambda: authenticator.authenticate_form({**form, policy: "0" * 64})) == "SignatureDoesNotMatch"
