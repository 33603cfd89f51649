"""Several processes behind one port, as clients see them."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from clary.gateways import serves
from clary.http import BytesBody, Request
from clary.settings import Settings, environment, load
from tests.acceptance.workbench import Workbench, until
from tests.conftest import short_home
from tests.server import REGION, ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "shared-bucket"
CLIENTS = 12
"""So many connections that every process gets some of them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    running = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_GATEWAYS": "2"})
    running.start()
    until(lambda: len(gateways(running)) == 2, 20)
    until(lambda: len(processes_that_answer(running)) == 3, 20)
    running.client("s3").create_bucket(Bucket=BUCKET)
    yield running
    running.stop()


def gateways(server: ClaryServer) -> list[int]:
    found: list[int] = json.loads((server.home / "server.json").read_text())["gateways"]
    return found


def processes_that_answer(server: ClaryServer) -> set[int]:
    """The processes of those connections that were just opened, seen from outside."""
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    try:
        for connection in connections:
            connection.sendall(b"GET /_clary/health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert server.process is not None
        wanted = {connection.getsockname()[1] for connection in connections}
        return {pid for pid in (server.process.pid, *gateways(server)) if wanted & peers(pid, server.port)}
    finally:
        for connection in connections:
            connection.close()


def peers(pid: int, port: int) -> set[int]:
    return {
        each.raddr.port
        for each in psutil.Process(pid).net_connections("tcp")
        if each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
    }


class Raw:
    """A kept connection, over which signed requests of several services go."""

    def __init__(self, server: ClaryServer) -> None:
        self._server = server
        self._credentials = Credentials(*server.keys)
        self._socket = socket.create_connection(("127.0.0.1", server.port), 20)

    def ask(
        self, service: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        request = AWSRequest(method, f"{self._server.endpoint}{path}", headers=headers or {}, data=body)
        (S3SigV4Auth if service == "s3" else SigV4Auth)(self._credentials, service, REGION).add_auth(request)
        fields = {"Host": f"127.0.0.1:{self._server.port}", "Content-Length": str(len(body)), **dict(request.headers)}
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())])
        self._socket.sendall(head.encode() + b"\r\n\r\n" + body)
        return self.answer()

    def answer(self) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(rest) < length:
            rest += self._socket.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), data
        return rest

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def clients(server: ClaryServer, service: str, **options: Any) -> list[Any]:
    """Clients with a connection each."""
    return [server.client(service, **options) for _ in range(CLIENTS)]


def test_a_connection_moves_when_it_asks_for_what_gateways_do_not_serve(server: ClaryServer) -> None:
    model = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    for _ in range(CLIENTS):
        with Raw(server) as raw:
            assert b"ListAllMyBucketsResult" in raw.ask("s3", "GET", "/")
            assert b'"Models":' in raw.ask("sagemaker", "POST", "/", model, b"{}" + b" " * 200_000)
            assert b"ListAllMyBucketsResult" in raw.ask("s3", "GET", "/")
            assert b'"Models":' in raw.ask("sagemaker", "POST", "/", model, b"{}")


def test_the_address_of_a_client_cannot_be_forged(server: ClaryServer) -> None:
    iam, s3 = server.client("iam"), server.client("s3")
    iam.create_user(UserName="distant")
    policy = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",'
        '"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}}'
    )
    iam.put_user_policy(UserName="distant", PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName="distant")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def forge(request: Any, **_: object) -> None:
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            request.headers[name] = "for=203.0.113.7" if name == "Forwarded" else "203.0.113.7"

    for service, call in (("s3", "list_buckets"), ("sagemaker", "list_models")):
        for client in clients(server, service, **keys):
            client.meta.events.register("before-send", forge)
            with pytest.raises(ClientError, match="not authorized"):
                getattr(client, call)()
    assert s3.list_buckets()["Buckets"]


def test_a_web_socket_reaches_the_control_process(server: ClaryServer) -> None:
    address = f"ws://127.0.0.1:{server.port}/_clary/notebook/{REGION}/nobody/api/kernels"
    for _ in range(CLIENTS):
        with pytest.raises(InvalidStatus) as refused:
            connect(address)
        assert refused.value.response.status_code == 403


def test_an_object_is_there_for_all_at_once(server: ClaryServer) -> None:
    everyone = clients(server, "s3")
    for number, writer in enumerate(everyone):
        writer.put_object(Bucket=BUCKET, Key="changing", Body=str(number))
        for reader in everyone:
            assert reader.get_object(Bucket=BUCKET, Key="changing")["Body"].read() == str(number).encode()


def test_a_change_of_rights_holds_for_all_at_once(server: ClaryServer) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    readers = clients(server, "s3", **keys)
    policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}}'
    for administrator in clients(server, "iam"):
        administrator.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=policy)
        for reader in readers:
            reader.list_objects_v2(Bucket=BUCKET)
        administrator.delete_user_policy(UserName="reader", PolicyName="p")
        for reader in readers:
            with pytest.raises(ClientError, match="not authorized"):
                reader.list_objects_v2(Bucket=BUCKET)
    iam.update_access_key(UserName="reader", AccessKeyId=keys["aws_access_key_id"], Status="Inactive")
    for reader in readers:
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            reader.list_objects_v2(Bucket=BUCKET)


def test_a_job_reads_and_writes_through_gateways(server: ClaryServer) -> None:
    bench = Workbench(server)
    job = bench.train("print('hello')")
    assert bench.trained(job)["TrainingJobStatus"] == "Completed"


def test_a_gateway_that_is_killed_loses_nothing_and_comes_back(server: ClaryServer) -> None:
    before = set(gateways(server))
    acknowledged: list[str] = []
    enough = threading.Event()

    def write(writer: int) -> None:
        # A client tries again when its connection breaks: the write may have happened or not.
        client = server.client("s3", config=Config(retries={"total_max_attempts": 5, "mode": "standard"}))
        for number in range(60):
            key = f"burst/{writer}/{number}"
            client.put_object(Bucket=BUCKET, Key=key, Body=key)
            acknowledged.append(key)
            if len(acknowledged) > 100:
                enough.set()

    with ThreadPoolExecutor(CLIENTS) as pool:
        writing = [pool.submit(write, writer) for writer in range(CLIENTS)]
        assert enough.wait(60)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        for each in writing:
            each.result()
    assert len(acknowledged) == CLIENTS * 60
    until(lambda: len(set(gateways(server)) - before) == 2, 20)
    until(lambda: len(processes_that_answer(server)) == 3, 20)
    s3 = server.client("s3")
    for key in acknowledged:
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()


def test_gateways_end_with_the_control_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_GATEWAYS": "1", "CLARY_WARM_WORKERS": "0"})
    server.start()
    until(lambda: len(processes_that_answer(server)) == 2, 20)
    server.client("s3").create_bucket(Bucket=BUCKET)
    killed = gateways(server)
    server.kill()
    server.start()
    until(lambda: not any(_runs(pid) for pid in killed), 20)
    until(lambda: len(processes_that_answer(server)) == 2, 20)
    assert server.client("s3").list_buckets()["Buckets"][0]["Name"] == BUCKET
    stopped = gateways(server)
    server.stop()
    assert not any(_runs(pid) for pid in stopped)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("path", "headers", "mine"),
    [
        ("/bucket/key", {}, True),
        ("/_clary/health", {}, True),
        ("/_clary/credentials/training-job/0/r/n", {}, False),
        ("/bucket", {"authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/r/s3/aws4_request, "}, True),
        ("/", {"authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/r/sts/aws4_request, "}, True),
        ("/", {"authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/r/ec2/aws4_request, "}, False),
        ("/", {"x-amz-target": "SageMaker.ListModels"}, False),
    ],
)
def test_what_gateways_serve(path: str, headers: dict[str, str], mine: bool) -> None:
    assert serves(Request("POST", path, "", headers, BytesBody(b""))) is mine


def test_gateways_get_the_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=4711, durability="process", encrypt=True, gateways=3, long_poll_s=1.5)
    assert load(environment(settings)) == settings
