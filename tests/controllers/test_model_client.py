from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from clary.controllers.model_client import InvocationError, Limits, ModelClient, limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20
SPEC: dict[str, Any] = {"TransformInput": {"ContentType": "text/csv"}, "TransformOutput": {"Accept": "text/csv"}}


class Model(socketserver.ThreadingUnixStreamServer):
    """A model server with one answer, which it gives a status for each request from a list."""

    daemon_threads = True

    def __init__(self, path: str, parameters: object, statuses: list[int]) -> None:
        super().__init__(path, _Handler)
        self.parameters = parameters
        self.statuses = statuses
        self.seen: list[tuple[str | None, str | None, bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Model
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200 if self.server.parameters is not None else 404, json.dumps(self.server.parameters).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.headers["Content-Type"], self.headers["Accept"], body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self._answer(status, b"too bad" if status != 200 else body.upper())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Model]]:
    servers: list[Model] = []

    def start(parameters: object = None, *statuses: int) -> Model:
        server = Model(str(tmp_path / "serve.sock"), parameters, list(statuses))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(tmp_path: Path, payload: bytes, **config: int) -> tuple[bytes, str]:
    client = ModelClient({**SPEC, "ModelClientConfig": config}, tmp_path / "serve.sock", 2)
    try:
        return client.submit(payload).result(10)
    finally:
        client.close()


def test_the_types_of_the_job_are_sent(serve: Callable[..., Model], tmp_path: Path) -> None:
    server = serve()
    assert ask(tmp_path, b"a,b") == (b"A,B", "text/csv")
    assert server.seen == [("text/csv", "text/csv", b"a,b")]


def test_faults_of_the_model_are_tried_again(serve: Callable[..., Model], tmp_path: Path) -> None:
    server = serve(None, 500, 503)
    assert ask(tmp_path, b"a") == (b"A", "text/csv")
    assert len(server.seen) == 3


def test_not_for_ever(serve: Callable[..., Model], tmp_path: Path) -> None:
    server = serve(None, 500, 500, 500)
    with pytest.raises(InvocationError, match="AlgorithmError: 500") as caught:
        ask(tmp_path, b"a", InvocationsMaxRetries=1)
    assert caught.value.fault == "AlgorithmError"
    assert "too bad" in str(caught.value)
    assert len(server.seen) == 2


def test_faults_of_the_request_are_not_tried_again(serve: Callable[..., Model], tmp_path: Path) -> None:
    server = serve(None, 415)
    with pytest.raises(InvocationError, match="ClientError: 415"):
        ask(tmp_path, b"a")
    assert len(server.seen) == 1


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InvocationError, match="Unable to reach the model server"):
        ask(tmp_path, b"a", InvocationsMaxRetries=0)


@pytest.mark.parametrize(
    ("parameters", "asked", "expected"),
    [
        (None, {}, Limits(1, 6 * MIB, True)),
        (
            {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 2},
            {},
            Limits(4, 2 * MIB, False),
        ),
        (
            {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 2},
            {"MaxConcurrentTransforms": 3, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 0},
            Limits(3, 0, True),
        ),
        ({"MaxConcurrentTransforms": 4}, {"MaxConcurrentTransforms": 0}, Limits(4, 6 * MIB, True)),
        (["nonsense"], {}, Limits(1, 6 * MIB, True)),
    ],
)
def test_the_job_goes_before_the_container(
    serve: Callable[..., Model], tmp_path: Path, parameters: object, asked: dict[str, Any], expected: Limits
) -> None:
    serve(parameters)
    assert limits(asked, tmp_path / "serve.sock") == expected
