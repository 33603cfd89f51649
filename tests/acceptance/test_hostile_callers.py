"""What a hostile caller sends: paths that lead out, documents that explode, heads without end, two requests in one."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.acceptance.workbench import unique
from tests.server import REGION

if TYPE_CHECKING:
    from tests.acceptance.workbench import Workbench

LIMIT_S = 10.0
HALF_OPEN = 200


def send(
    bench: Workbench, service: str, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    """Status and body of the answer to a request with a good signature, whose path goes out as it is."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest(method, f"{bench.server.endpoint}{path}", headers=given, data=body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(*bench.server.keys), service, REGION).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", bench.server.port, timeout=LIMIT_S)
    try:
        connection.request(method, path, body, dict(request.headers.items()))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(bench: Workbench, *pieces: bytes) -> bytes:
    """The first bytes of the answer to some bytes; none when the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", bench.server.port), LIMIT_S) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            return connection.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return b""


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("../../{name}", "../../{name}"),
        ("a/../../../../../../../../../tmp/{name}", "a/../../../../../../../../../tmp/{name}"),
        ("/absolute/{name}", "/absolute/{name}"),
        ("..%5C..%5C{name}", "..\\..\\{name}"),
        ("~/{name}", "~/{name}"),
    ],
)
def test_keys_are_names_and_no_paths(bench: Workbench, path: str, key: str) -> None:
    name = unique("out")
    status, _ = send(bench, "s3", "PUT", f"/{bench.bucket}/{path.format(name=name)}", b"x")
    assert status == 200
    listed = bench.s3.list_objects_v2(Bucket=bench.bucket)["Contents"]
    assert key.format(name=name) in [entry["Key"] for entry in listed]
    home = bench.server.home
    assert not [found for folder in (home.parent, home) for found in folder.rglob(f"*{name}*")]
    bench.s3.delete_object(Bucket=bench.bucket, Key=key.format(name=name))


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
        "/bucket%00/key",
        "/{bucket}/k%00ey",
        "/{bucket}/%ff%fe",
        "/{bucket}/%c0%afetc",
        "/{bucket}/%ed%a0%80",
        "/{bucket}/%",
        "/{bucket}/%zz",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_paths_that_name_nothing(bench: Workbench, method: str, path: str) -> None:
    status, body = send(bench, "s3", method, path.format(bucket=bench.bucket), b"x" if method == "PUT" else b"")
    assert status < 500
    assert b"root:" not in body


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(12))
EXPLODING = {
    "laughs": f"<!DOCTYPE a [{LAUGHS}]><Tagging><TagSet><Tag><Key>&a11;</Key></Tag></TagSet></Tagging>",
    "file": '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><Tagging><TagSet><Tag><Key>&f;</Key><Value>v</Value>'
    "</Tag></TagSet></Tagging>",
    "network": '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x"><Tagging><TagSet/></Tagging>',
    "parameter": '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><Tagging><TagSet/></Tagging>',
    "deep": "<Tagging>" * 100_000,
    "deep and closed": "<a>" * 50_000 + "</a>" * 50_000,
    "wide": "<Tagging>" + "<Tag/>" * 200_000 + "</Tagging>",
    "attributes": "<Tagging " + " ".join(f'a{n}="b"' for n in range(50_000)) + "/>",
}


@pytest.mark.parametrize("document", EXPLODING.values(), ids=EXPLODING.keys())
@pytest.mark.parametrize("what", ["tagging", "delete"])
def test_documents_that_explode(bench: Workbench, document: str, what: str) -> None:
    started = time.monotonic()
    method = "PUT" if what == "tagging" else "POST"
    status, body = send(bench, "s3", method, f"/{bench.bucket}?{what}", document.encode())
    assert (status, b"MalformedXML" in body) == (400, True), body[:500]
    assert b"root:" not in body
    assert time.monotonic() - started < LIMIT_S


NESTED = [b"[" * 100_000, b'{"a":' * 100_000, b'{"Tags":' + b"[" * 5000 + b"]" * 5000 + b"}"]


@pytest.mark.parametrize("body", NESTED, ids=["lists", "objects", "closed"])
def test_json_that_nests_deeply(bench: Workbench, body: bytes) -> None:
    headers = {"X_Amz_Target": "SageMaker.ListModels", "Content_Type": "application/x-amz-json-1.1"}
    status, answer = send(bench, "sagemaker", "POST", "/", body, **headers)
    assert 400 <= status < 500, answer[:500]


@pytest.mark.parametrize("depth", [900, 1100, 3000])
def test_policies_that_nest_deeply(bench: Workbench, depth: int) -> None:
    name = unique("nested")
    nested = json.dumps({"Version": "2012-10-17", "Statement": 0}).replace("0}", "[" * depth + "]" * depth + "}")
    with pytest.raises(bench.iam.exceptions.MalformedPolicyDocumentException):
        bench.iam.create_policy(PolicyName=name, PolicyDocument=nested)
    with pytest.raises(bench.iam.exceptions.MalformedPolicyDocumentException):
        bench.iam.create_role(RoleName=name, AssumeRolePolicyDocument=nested[:2048])
    status, answer = send(bench, "s3", "PUT", f"/{bench.bucket}?policy", nested.encode())
    assert (status, b"MalformedPolicy" in answer) == (400, True)


def test_heads_have_a_limit(bench: Workbench) -> None:
    start = b"GET / HTTP/1.1\r\nHost: x\r\n"
    assert b" 431 " in raw(bench, start, b"X-Long: " + b"a" * (1 << 20)).split(b"\r\n")[0]
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 100) for number in range(20_000))
    assert b" 431 " in raw(bench, start, many).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length : 5\r\n",
        b"X-Folded: a\r\n b\r\n Content-Length: 5\r\n",
        b"X-Null: a\x00b\r\n",
    ],
)
def test_no_request_hides_in_another(bench: Workbench, head: bytes) -> None:
    hidden = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(bench, b"POST /first HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + hidden)
    assert b"hidden" not in answer
    assert not answer or int(answer.split(b" ")[1]) in range(400, 500)


def test_many_who_never_finish_hold_nobody_up(bench: Workbench) -> None:
    with ExitStack() as stack:
        for number in range(HALF_OPEN):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", bench.server.port), LIMIT_S))
            half.sendall(
                b"PUT /b/k HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"
            )
        started = time.monotonic()
        assert bench.s3.list_objects_v2(Bucket=bench.bucket, MaxKeys=1)
        assert time.monotonic() - started < LIMIT_S
