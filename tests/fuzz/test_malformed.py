"""Malformed requests to a real server over raw sockets: none is answered by 500, none is left without an answer."""

from __future__ import annotations

import json
import random
import re
import socket
import string
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import botocore.session
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.serialize import create_serializer

from tests.conftest import short_home
from tests.server import REGION, ClaryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TIMEOUT_S = 5.0
ROUNDS = 40
TARGETS = {
    "sagemaker": "SageMaker.",
    "logs": "Logs_20140328.",
    "monitoring": "GraniteServiceVersion20100801.",
}
OPERATIONS = {
    "sagemaker": (
        "CreateTrainingJob",
        "CreateModel",
        "ListModels",
        "DescribeEndpoint",
        "CreateEndpointConfig",
        "Search",
        "CreateProcessingJob",
        "CreateHyperParameterTuningJob",
        "CreateTransformJob",
        "AddTags",
        "CreateNotebookInstance",
        "CreateMonitoringSchedule",
    ),
    "logs": ("PutLogEvents", "GetLogEvents", "FilterLogEvents", "DescribeLogGroups"),
    "monitoring": ("PutMetricData", "GetMetricData", "ListMetrics", "GetMetricStatistics"),
}
SERVICES = {
    "sagemaker": 4,
    "sagemaker-runtime": 20,
    "s3": 12,
    "iam": 6,
    "sts": 20,
    "ec2": 2,
    "logs": 8,
    "cloudwatch": 20,
}
"""How often each operation of a service is called."""

FORMS = {
    "iam": ("2010-05-08", ("CreateUser", "CreateRole", "PutRolePolicy", "ListUsers", "SimulatePrincipalPolicy")),
    "sts": ("2011-06-15", ("AssumeRole", "GetCallerIdentity", "GetSessionToken")),
    "ec2": ("2016-11-15", ("RunInstances", "DescribeInstances", "CreateTags", "DescribeImages")),
}


class Wire:
    """Speaks bytes to the server, and signs what shall be read beyond the signature."""

    def __init__(self, server: ClaryServer) -> None:
        self.server = server
        self.credentials = Credentials(*server.keys)

    def status(self, data: bytes, *, ends: bool = True) -> int:
        """The status of the answer to some bytes; 0 when the server closes the connection without one.

        `ends` is false for what may be the beginning of a request only: the client then says that no more will come.
        """
        with socket.create_connection(("127.0.0.1", self.server.port), TIMEOUT_S) as connection:
            connection.settimeout(TIMEOUT_S)
            try:
                connection.sendall(data)
                if not ends:
                    with suppress(OSError):  # the server may have answered and closed already
                        connection.shutdown(socket.SHUT_WR)
                return self._read(connection)
            except (ConnectionResetError, BrokenPipeError):
                return 0

    def _read(self, connection: socket.socket) -> int:
        deadline = time.monotonic() + TIMEOUT_S
        answer = b""
        while time.monotonic() < deadline:
            block = connection.recv(65536)
            if not block:
                break
            answer += block
            if b"\r\n\r\n" in answer and not answer.startswith(b"HTTP/1.1 100"):
                break
        match = re.match(rb"(?:HTTP/1\.1 100 [^\r]*\r\n\r\n)?HTTP/1\.[01] (\d{3})", answer)
        return int(match[1]) if match else 0

    def signed(self, service: str, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """A request with a good signature, whatever it says."""
        request = AWSRequest(method, f"{self.server.endpoint}{path}", headers=headers, data=body)
        (S3SigV4Auth if service == "s3" else SigV4Auth)(self.credentials, service, REGION).add_auth(request)
        return plain(method, path, dict(request.headers.items()), body, self.server.port)


def plain(method: str, path: str, headers: dict[str, str], body: bytes, port: int) -> bytes:
    fields = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A server of their own, because some requests succeed."""
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    yield Wire(server)
    server.stop()


@pytest.fixture(autouse=True)
def still_well(wire: Wire) -> Iterator[None]:
    """After every test the server answers, and has logged no fault of its own."""
    path = wire.server.home / "server.log"
    before = path.stat().st_size
    yield
    assert wire.server.process is not None
    assert wire.server.process.poll() is None
    assert wire.server.client("sts").get_caller_identity()["Account"] == "000000000000"
    told = path.read_text()[before:]
    assert "Traceback" not in told, told[told.index("Traceback") :][:4000]


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.node.name)


def refused(status: int) -> bool:
    return status == 0 or 300 <= status < 500 or status == 501


def answered(status: int) -> bool:
    """Neither silence nor a fault of the server; 501 names an operation that is not there."""
    return 200 <= status < 500 or status == 501


def text(dice: random.Random, most: int = 30) -> str:
    return "".join(dice.choice(string.printable[:95] + "äß€😀\x00\x7f") for _ in range(dice.randrange(most)))


def value(dice: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    simple: list[Callable[[], Any]] = [
        lambda: None,
        lambda: dice.choice([True, False]),
        lambda: dice.choice([0, -1, 2**31, 2**63, 10**30, 1.5, -1e308]),
        lambda: text(dice),
        lambda: "x" * dice.choice([0, 1, 64, 5000]),
    ]
    nested: list[Callable[[], Any]] = [
        lambda: [value(dice, depth + 1) for _ in range(dice.randrange(4))],
        lambda: {text(dice, 8): value(dice, depth + 1) for _ in range(dice.randrange(4))},
    ]
    return dice.choice(simple if depth > 3 else simple + nested)()


NAMES = ("name", "Name-1", "a" * 12, "s3://bucket/key", "arn:aws:iam::000000000000:role/ClaryExecutionRole", "1", "{}")


def shaped(dice: random.Random, shape: Any, depth: int = 0) -> Any:
    """A value that nearly fits a shape: now and then a part is missing, strange or of another type."""
    if dice.random() < 0.04 or depth > 6:
        return value(dice)
    if shape.type_name == "structure":
        return {
            name: shaped(dice, member, depth + 1)
            for name, member in shape.members.items()
            if (name in shape.required_members and dice.random() < 0.98) or dice.random() < 0.2
        }
    if shape.type_name == "list":
        return [shaped(dice, shape.member, depth + 1) for _ in range(dice.choice([0, 1, 1, 2]))]
    if shape.type_name == "map":
        return {dice.choice(NAMES): shaped(dice, shape.value, depth + 1) for _ in range(dice.randrange(3))}
    return simple(dice, shape)


def simple(dice: random.Random, shape: Any) -> Any:
    """A value of a shape without parts, mostly one that it allows."""
    if shape.type_name in {"integer", "long"}:
        low = int(shape.metadata.get("min", 0))
        return dice.choice([low, low, low + 1, shape.metadata.get("max", 7), low - 1, 10**12])
    choices: dict[str, Sequence[Any]] = {
        "string": getattr(shape, "enum", ()) or (*NAMES, text(dice)),
        "boolean": (True, False),
        "blob": (b"", b"bytes"),
        "timestamp": ("2026-01-01T00:00:00Z", 0, 1e10),
    }
    return dice.choice(choices.get(shape.type_name, (0.5, 0, -1)))


def test_bytes_that_are_no_http(wire: Wire, dice: random.Random) -> None:
    for _ in range(ROUNDS):
        assert refused(wire.status(dice.randbytes(dice.randrange(1, 2000)), ends=False))
    for data in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\n",
    ):
        assert refused(wire.status(data, ends=False)), data


def test_odd_methods_and_paths(wire: Wire, dice: random.Random) -> None:
    paths = [
        "/",
        "//",
        "/%",
        "/%zz",
        "/%00",
        "/..",
        "/../../etc/passwd",
        "/_clary",
        "/_clary/health/../x",
        "/a" * 3000,
        "/endpoints//invocations",
        "/endpoints/x/invocations/y",
        "/service/x/operation/y",
        "*",
        "/?",
        "/?&&=&",
        "/bucket?policy&acl&versions",
        "/bucket/%ff%fe",
        "/?X-Amz-Credential=a/b/c/d/e",
        "/b/k?uploadId=&partNumber=x",
        "/?X-Amz-Credential=%00&X-Amz-Signature=",
        "/b?AWSAccessKeyId=x&Signature=y&Expires=z",
    ]
    for method in ("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"):
        for path in paths:
            status = wire.status(plain(method, path, {}, b"", wire.server.port))
            assert refused(status) or status == 200, (method, path, status)
    for path in dice.sample(paths, 8):
        for service in ("s3", "sagemaker", "iam", "nosuch"):
            status = wire.status(wire.signed(service, "POST", path.replace("*", "/*"), {}, b"<x/>"))
            assert answered(status), (service, path, status)


def test_headers(wire: Wire, dice: random.Random) -> None:
    port = wire.server.port
    for headers in (
        {"X-Large": "x" * 200_000},
        {f"X-{number}": "y" for number in range(3000)},
        {"Authorization": "AWS4-HMAC-SHA256"},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=, Signature="},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=zz"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "AWS a:b"},
        {"X-Amz-Date": "yesterday", "Authorization": "AWS4-HMAC-SHA256 " + "Credential=" * 50},
        {"X-Amz-Target": "SageMaker."},
        {"X-Amz-Target": "." * 5000},
        {"X-Amz-Target": "SageMaker.ListModels", "Smithy-Protocol": "rpc-v2-cbor"},
        {"Content-Length": "-1"},
        {"Content-Length": "1, 2"},
        {"Content-Length": "ten"},
        {"Transfer-Encoding": "chunked", "Content-Length": "5"},
        {"Transfer-Encoding": "gzip"},
        {"Content-Type": "multipart/form-data; boundary="},
        {"Range": "bytes=-"},
        {"Expect": "something"},
        {"X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length": "x"},
    ):
        for method, path in (("POST", "/"), ("PUT", "/bucket/key")):
            assert refused(wire.status(plain(method, path, headers, b"hello", port), ends=False)), headers
    for _ in range(ROUNDS):
        name = "".join(dice.choices(string.ascii_letters + "-_", k=dice.randrange(1, 20)))
        headers = {name: text(dice).replace("€", "").replace("😀", "")}
        assert refused(wire.status(plain("GET", "/", headers, b"", port), ends=False)), headers


def test_bodies_shorter_or_longer_than_told(wire: Wire) -> None:
    whole = wire.signed("sagemaker", "POST", "/", {"X-Amz-Target": "SageMaker.ListModels"}, b'{"MaxResults": 5}')
    assert wire.status(whole) == 200
    assert refused(wire.status(whole[:-4], ends=False))
    assert wire.status(whole + b"GET / HTTP/1.1\r\n\r\n") == 200
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": "0"}
    for body in (b"zz\r\n", b"5\r\nab", b"ffffffffffffffffff\r\n", b"3\r\nabc\r\n0\r\n"):
        head = plain("PUT", "/bucket/key", chunked, b"", wire.server.port).replace(b"Content-Length: 0\r\n", b"")
        assert refused(wire.status(head + body, ends=False)), body


def test_signatures_that_do_not_fit(wire: Wire, dice: random.Random) -> None:
    good = wire.signed("sagemaker", "POST", "/", {"X-Amz-Target": "SageMaker.ListModels"}, b"{}")
    start = good.index(b"Authorization:")
    for _ in range(ROUNDS):
        spot = dice.randrange(start + 15, good.index(b"\r\n", start))
        broken = good[:spot] + bytes([dice.choice(b"0Zx=/,; ")]) + good[spot + 1 :]
        assert wire.status(broken, ends=False) in {0, 400, 401, 403, 404} or broken == good


@pytest.mark.parametrize("service", TARGETS)
def test_json_that_is_broken_or_strange(wire: Wire, dice: random.Random, service: str) -> None:
    bodies = [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{]",
        b"\xff\xfe",
        b'{"a":}',
        b"1e999",
        b"[" * 50_000,
        b'{"a":' * 20_000,
    ]
    bodies += [json.dumps(value(dice)).encode() for _ in range(10)]
    for operation in OPERATIONS[service]:
        for body in dice.sample(bodies, 6):
            headers = {"X-Amz-Target": TARGETS[service] + operation, "Content-Type": "application/x-amz-json-1.1"}
            status = wire.status(wire.signed(service, "POST", "/", headers, body))
            assert answered(status), (operation, body[:80], status)


@pytest.mark.parametrize("service", SERVICES)
def test_members_of_valid_shapes_at_random(wire: Wire, dice: random.Random, service: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    serializer = create_serializer(model.resolved_protocol, include_validation=False)
    left = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        for _ in range(SERVICES[service]):
            parameters = shaped(dice, operation.input_shape) if operation.input_shape else {}
            try:
                made = serializer.serialize_to_request(parameters, operation)
                data = wire.signed(model.signing_name, made["method"], *target(made), encoded(made["body"]))
            except (AttributeError, BotoCoreError, KeyError, RuntimeError, TypeError, ValueError):
                continue  # what the client cannot even write down
            status = wire.status(data)
            if not answered(status):
                left.append((name, parameters, status))
    assert not left, left


def target(made: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Path and headers of a serialized request."""
    query = made["query_string"]
    text = urlencode(query, doseq=True) if isinstance(query, dict) else urlencode(list(query))
    path = quote(made["url_path"], safe="/%?=&~-._")
    join = "&" if "?" in path else "?"
    headers = {name: str(value) for name, value in made["headers"].items() if name != "Content-Length"}
    return f"{path}{join}{text}" if text else path, headers


def encoded(body: Any) -> bytes:
    """The body of a serialized request."""
    if isinstance(body, dict):
        return urlencode(body, doseq=True).encode()
    return body if isinstance(body, bytes) else str(body).encode()


@pytest.mark.parametrize("service", FORMS)
def test_forms(wire: Wire, dice: random.Random, service: str) -> None:
    version, operations = FORMS[service]
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    names = [
        "UserName",
        "RoleName",
        "PolicyDocument",
        "MaxItems",
        "Tags.member.1.Key",
        "Tags.member.x",
        "Tag.99999999.Key",
        "ActionNames.member.1",
        "Filter.1.Value.1",
        "Filter..",
        "InstanceId.1",
        "MinCount",
        "DurationSeconds",
        "Marker",
        "RoleArn",
        "RoleSessionName",
        "ImageId",
        "MaxCount",
        "BlockDeviceMapping.1.Ebs.VolumeSize",
        "A.B.C.1.2.3",
        "AssumeRolePolicyDocument",
        "NextToken",
        "MaxResults",
    ]
    for operation in (*operations, "NoSuchAction", ""):
        for _ in range(8):
            fields = "&".join(
                f"{name}={dice.choice(['', '1', '-1', '%zz', '%00', '%F0%9F', 'x' * 300, '{', '%7B%7D', 'true'])}"
                for name in dice.sample(names, dice.randrange(6))
            )
            body = f"Action={operation}&Version={version}&{fields}".encode()
            assert answered(wire.status(wire.signed(service, "POST", "/", headers, body))), body
    for body in (b"", b"=", b"&&&", b"Action", b"\xff\xfe\xfd", b"Action=ListUsers&" * 3000, b"A." * 50_000 + b"=1"):
        assert answered(wire.status(wire.signed(service, "POST", "/", headers, body))), body[:80]


def test_xml(wire: Wire, dice: random.Random) -> None:
    wire.server.client("s3").create_bucket(Bucket="fuzz-xml")
    good = b"<Delete><Object><Key>a</Key></Object></Delete>"
    bombs = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete>&b;</Delete>'
    bodies = [
        b"",
        b"<",
        b"<a>",
        b"</a>",
        b"<a><b></a>",
        b"\xff\xfe",
        b"<a>" * 20_000,
        b"<a>" * 500 + b"</a>" * 500,
        bombs,
        b"<?xml version='9.9'?><x/>",
        b"<Tagging><TagSet><Tag/></TagSet></Tagging>",
        good[:20],
        b"plain text",
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Tagging>&f;</Tagging>',
    ]
    bodies += [bytes(dice.choice(good) for _ in range(len(good))) for _ in range(6)]
    for path in (
        "/fuzz-xml?delete",
        "/fuzz-xml?tagging",
        "/fuzz-xml?versioning",
        "/fuzz-xml?policy",
        "/fuzz-xml?lifecycle",
        "/fuzz-xml/key?tagging",
        "/fuzz-xml/key?uploadId=none",
        "/fuzz-other",
        "/fuzz-xml?cors",
    ):
        for body in dice.sample(bodies, 9):
            for method in ("PUT", "POST"):
                status = wire.status(wire.signed("s3", method, path, {}, body))
                assert answered(status), (method, path, body[:80], status)


def test_rest_paths(wire: Wire, dice: random.Random) -> None:
    for path in (
        "/endpoints/none/invocations",
        "/endpoints/%00/invocations",
        "/endpoints/x%2Fy/invocations",
        "/endpoints/none/async-invocations",
        "/FeatureGroup/none",
        "/BatchPutMetrics",
        "/BatchGetRecord",
    ):
        for method in ("GET", "POST", "PUT", "DELETE"):
            body = dice.choice([b"", b"{}", b"[", dice.randbytes(100)])
            headers = {"X-Amzn-SageMaker-Inference-Id": "a\tb", "Accept": "\xff"}
            assert answered(wire.status(wire.signed("sagemaker", method, path, headers, body))), (method, path)
