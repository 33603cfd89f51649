"""Requests that somebody forged: altered, replayed, cut short, signed for something else, or signed too little."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest

from clary.auth.credentials import role_session
from clary.auth.sigv4 import Authenticator
from clary.context import PrincipalKind
from clary.errors import ServiceError
from clary.http import BytesBody, Request
from tests.auth.test_sigv4 import HOST, Caller, code

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.auth.credentials import Credentials
    from tests.auth.conftest import Accounts, HandClock

SERVICES = ["s3", "sagemaker", "iam", "ec2"]
FORGED = {
    "s3": "SignatureDoesNotMatch",
    "sagemaker": "InvalidSignatureException",
    "iam": "SignatureDoesNotMatch",
    "ec2": "AuthFailure",
}


@pytest.fixture
def caller(credentials: Credentials, clock: HandClock) -> Caller:
    return Caller(credentials, clock)


@pytest.fixture
def authenticator(credentials: Credentials, clock: HandClock) -> Authenticator:
    return Authenticator(credentials, clock)


def with_headers(http: Request, **changes: str | None) -> Request:
    headers = {**http.headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return replace(http, headers={name: value for name, value in headers.items() if value is not None})


def signed_by_hand(caller: Caller, names: str, headers: dict[str, str], payload: str | None = None) -> Request:
    """A request to SageMaker with a valid signature over just these headers."""
    moment = headers["x-amz-date"]
    body = b"{}"
    digest = payload if payload is not None else hashlib.sha256(body).hexdigest()
    lines = "".join(f"{name}:{headers.get(name, '')}\n" for name in names.split(";"))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{digest}"
    scope = f"{moment[:8]}/eu-west-1/sagemaker/aws4_request"
    key = f"AWS4{caller.keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={caller.keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return Request("POST", "/", "", {**headers, "authorization": authorization}, BytesBody(body))


def fresh(clock: HandClock) -> dict[str, str]:
    return {
        "host": "127.0.0.1:4100",
        "x-amz-date": clock.time.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-target": "SageMaker.X",
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "forge",
    [
        lambda http: replace(http, method="DELETE"),
        lambda http: replace(http, path="/other"),
        lambda http: replace(http, query="a=1"),
        lambda http: with_headers(http, host="elsewhere"),
        lambda http: with_headers(http, authorization=http.headers["authorization"][:-64] + "0" * 64),
    ],
    ids=["method", "path", "query", "host", "signature"],
)
def test_altered(
    authenticator: Authenticator, caller: Caller, service: str, forge: Callable[[Request], Request]
) -> None:
    http = forge(caller.header(service))
    assert code(lambda: authenticator.authenticate(http, service, s3=service == "s3")) == FORGED[service]


@pytest.mark.parametrize("service", SERVICES)
def test_altered_body(authenticator: Authenticator, caller: Caller, service: str) -> None:
    http = replace(caller.header(service), body=BytesBody(b'{"x": 1}'))
    expected = "XAmzContentSHA256Mismatch" if service == "s3" else FORGED[service]
    assert code(lambda: authenticator.authenticate(http, service, s3=service == "s3")) == expected


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("minutes", [-16, 16])
def test_replayed_later_or_sent_too_early(
    authenticator: Authenticator, caller: Caller, clock: HandClock, service: str, minutes: int
) -> None:
    http = caller.header(service)
    clock.advance(minutes=minutes)
    with pytest.raises(ServiceError):
        authenticator.authenticate(http, service, s3=service == "s3")


def test_replayed_with_a_new_date(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    http = caller.header()
    clock.advance(minutes=20)
    later = with_headers(http, x_amz_date=clock.time.strftime("%Y%m%dT%H%M%SZ"))
    assert code(lambda: authenticator.authenticate(later, "sagemaker", s3=False)) == "InvalidSignatureException"


@pytest.mark.parametrize("cut", [1, 10, 63])
def test_truncated_signature(authenticator: Authenticator, caller: Caller, cut: int) -> None:
    http = caller.header()
    short = with_headers(http, authorization=http.headers["authorization"][:-cut])
    assert code(lambda: authenticator.authenticate(short, "sagemaker", s3=False)) == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "change",
    [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("AWS4-HMAC-SHA256", "NONE"),
        ("/aws4_request", "/aws3_request"),
        ("Signature=", "Signature=A"),
        ("SignedHeaders=", "SignedHeaders=,"),
    ],
)
def test_downgraded(authenticator: Authenticator, caller: Caller, change: tuple[str, str]) -> None:
    http = caller.header()
    other = with_headers(http, authorization=http.headers["authorization"].replace(*change))
    assert code(lambda: authenticator.authenticate(other, "sagemaker", s3=False)) == "IncompleteSignatureException"


def test_host_must_be_signed(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    whole = signed_by_hand(caller, "host;x-amz-date;x-amz-target", fresh(clock))
    assert authenticator.authenticate(whole, "sagemaker", s3=False).region == "eu-west-1"
    for names in ("x-amz-date;x-amz-target", "Host;x-amz-date;x-amz-target", "x-host;x-amz-date;x-amz-target"):
        http = signed_by_hand(caller, names, fresh(clock))
        assert code(lambda: authenticator.authenticate(http, "sagemaker", s3=False)) == "AccessDenied"  # noqa: B023


@pytest.mark.parametrize("extra", ["x-amz-target", "x-amz-date", "x-amz-security-token", "x-amz-anything"])
def test_headers_of_aws_must_be_signed(
    authenticator: Authenticator, caller: Caller, clock: HandClock, extra: str
) -> None:
    headers = {extra: "added", **fresh(clock)}
    names = ";".join(name for name in sorted(headers) if name != extra)
    http = signed_by_hand(caller, names, headers)
    with pytest.raises(ServiceError):
        authenticator.authenticate(http, "sagemaker", s3=False)


@pytest.mark.parametrize("name", ["host", "x-amz-date", "authorization", "x-amz-target"])
def test_headers_given_twice(authenticator: Authenticator, caller: Caller, name: str) -> None:
    http = caller.header()
    twice = with_headers(http, **{name: f"{http.headers[name]},{http.headers[name]}"})
    with pytest.raises(ServiceError):
        authenticator.authenticate(twice, "sagemaker", s3=False)


@pytest.mark.parametrize("service", ["sagemaker", "iam", "ec2"])
def test_only_s3_takes_bodies_that_are_not_signed(authenticator: Authenticator, caller: Caller, service: str) -> None:
    kind = botocore.auth.SigV4Auth(caller.keys, service, "eu-west-1")
    request = AWSRequest("POST", HOST + "/", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, data=b"{}")
    kind.payload = lambda _: "UNSIGNED-PAYLOAD"
    http = caller.sign(kind, request)
    assert code(lambda: authenticator.authenticate(http, service, s3=False)) == FORGED[service]


def test_scopes_of_others(authenticator: Authenticator, caller: Caller) -> None:
    """Neither another service's signature counts nor one whose scope was rewritten, be it the region or the day."""
    http = caller.header("iam")
    assert code(lambda: authenticator.authenticate(http, "sagemaker", s3=False)) == "InvalidSignatureException"
    authorization = caller.header().headers["authorization"]
    for former, present in (("/eu-west-1/", "/us-east-1/"), ("/sagemaker/", "/sagemaker2/")):
        other = with_headers(caller.header(), authorization=authorization.replace(former, present))
        with pytest.raises(ServiceError):
            authenticator.authenticate(other, "sagemaker", s3=False)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("604800", ""),
        ("604801", "AuthorizationQueryParametersError"),
        ("-1", "AuthorizationQueryParametersError"),
        ("1.5", "AuthorizationQueryParametersError"),
        ("%C2%B2", "AuthorizationQueryParametersError"),
        ("9" * 5000, "AuthorizationQueryParametersError"),
        ("", "AuthorizationQueryParametersError"),
    ],
)
def test_bounds_of_presigned_urls(authenticator: Authenticator, caller: Caller, expires: str, expected: str) -> None:
    http = caller.presigned(expires=604800)
    http = replace(http, query=http.query.replace("X-Amz-Expires=604800", f"X-Amz-Expires={expires}"))
    if expected:
        assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == expected
    else:
        assert authenticator.authenticate(http, "s3", s3=True).principal.kind is PrincipalKind.ROOT


def test_presigned_urls_cannot_be_lengthened(authenticator: Authenticator, caller: Caller, clock: HandClock) -> None:
    http = caller.presigned(expires=60)
    longer = replace(http, query=http.query.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
    assert code(lambda: authenticator.authenticate(longer, "s3", s3=True)) == "SignatureDoesNotMatch"
    clock.advance(seconds=61)
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "AccessDenied"


def test_presigned_urls_take_no_headers_of_aws(authenticator: Authenticator, caller: Caller) -> None:
    http = with_headers(caller.presigned(), x_amz_acl="public-read")
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "AccessDenied"


def test_one_way_to_sign(authenticator: Authenticator, caller: Caller) -> None:
    http = with_headers(caller.presigned(), authorization=caller.header("s3").headers["authorization"])
    assert code(lambda: authenticator.authenticate(http, "s3", s3=True)) == "InvalidArgument"


@pytest.fixture
def session(credentials: Credentials, accounts: Accounts, caller: Caller) -> Any:
    issued = credentials.issue(role_session(accounts.role("worker"), "s"), timedelta(hours=1))
    return botocore.credentials.Credentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def test_tokens_belong_to_the_signature(authenticator: Authenticator, caller: Caller, session: Any) -> None:
    caller.keys = session
    http = caller.header()
    assert authenticator.authenticate(http, "sagemaker", s3=False).principal.name == "worker"
    without = with_headers(http, x_amz_security_token=None)
    assert code(lambda: authenticator.authenticate(without, "sagemaker", s3=False)) == "UnrecognizedClientException"
    token = http.headers["x-amz-security-token"]
    flipped = with_headers(http, x_amz_security_token=f"{'B' if token[0] == 'A' else 'A'}{token[1:]}")
    assert code(lambda: authenticator.authenticate(flipped, "sagemaker", s3=False)) == "UnrecognizedClientException"
    unsigned = caller.keys.token
    caller.keys = botocore.credentials.Credentials(session.access_key, session.secret_key)
    added = with_headers(caller.header(), x_amz_security_token=unsigned)
    assert code(lambda: authenticator.authenticate(added, "sagemaker", s3=False)) == "AccessDenied"


def test_signatures_are_compared_in_constant_time(
    authenticator: Authenticator, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(wanted: bytes, given: bytes) -> bool:
        compared.append((wanted, given))
        return wanted == given

    monkeypatch.setattr(hmac, "compare_digest", compare)
    http = caller.header()
    authenticator.authenticate(http, "sagemaker", s3=False)
    assert http.headers["authorization"][-64:].encode() in [given for _, given in compared]


def test_signed_characters_are_the_ones_received(authenticator: Authenticator, caller: Caller) -> None:
    request = AWSRequest("GET", HOST + "/b/%E2%82%AC..k")
    http = caller.sign(botocore.auth.S3SigV4Auth(caller.keys, "s3", "eu-west-1"), request)
    assert authenticator.authenticate(http, "s3", s3=True).region == "eu-west-1"
    for path in ("/k", "/b/k", "/b/%C0%AF..%C0%AFk", "/b/%E2%82%AC%252E.k"):
        other = replace(http, path=path)
        assert code(lambda: authenticator.authenticate(other, "s3", s3=True)) == "SignatureDoesNotMatch"  # noqa: B023
