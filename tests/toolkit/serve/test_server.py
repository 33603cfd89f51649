from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from clary.toolkit.serve.server import listen
from tests.toolkit.container import Client, Container, Server, needs_installer

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "import joblib, os\ndef model_fn(folder):\n    return joblib.load(os.path.join(folder, 'model.joblib'))\n"
Serving = Callable[..., Server]


@pytest.fixture
def fitted(container: Container) -> LogisticRegression:
    model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
    (container.root / "model").mkdir()
    joblib.dump(model, container.root / "model/model.joblib")
    return model


def test_serves_a_script_packed_with_the_model(
    container: Container, serving: Serving, fitted: LogisticRegression
) -> None:
    container.write("model/code/serve_it.py", SCRIPT)
    env = {
        "SAGEMAKER_PROGRAM": "serve_it.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "CLARY_FRAMEWORK_REQUESTED": "scikit-learn 1.2-1",
    }
    server = serving("clary.toolkit.serve", env=env)
    assert server.client.request("GET", "/ping")[::2] == (200, b"")
    assert server.client.invoke("5.1,3.5,1.4,0.2\n6,3,5,2\n", accept="text/csv") == (200, b"0\n2\n")
    status, headers, body = server.client.request("GET", "/execution-parameters")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert b'"MaxPayloadInMB": 6' in body
    code, log = server.stop()
    assert code == 0
    assert "Framework requested: scikit-learn 1.2-1." in log


@pytest.mark.parametrize(
    ("script", "reason"),
    [("x = 1\n", "must define model_fn"), ("import absent_module\n", "absent_module"), (None, "does not exist")],
)
def test_ping_fails_with_the_reason_when_nothing_can_be_loaded(
    container: Container, serving: Serving, script: str | None, reason: str
) -> None:
    if script is not None:
        container.write("model/code/inference.py", script)
    server = serving("clary.toolkit.serve")
    status, _, body = server.client.request("GET", "/ping")
    assert status == 500
    assert reason in body.decode()
    assert reason in server.stop()[1]


ECHO = """
def model_fn(_folder):
    return 1

def transform_fn(_model, body, _content_type, accept):
    return body, accept
"""


@pytest.fixture
def echo(container: Container, serving: Serving) -> Server:
    container.write("model/code/inference.py", ECHO)
    return serving("clary.toolkit.serve")


def exchange(client: Client, *parts: bytes) -> bytes:
    """Send parts one by one over one connection and read until the server closes it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(client.path))
        for part in parts:
            connection.sendall(part)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_connections_are_kept_and_pipelined(echo: Server) -> None:
    call = b"POST /invocations HTTP/1.1\r\nhost: x\r\naccept: a/b\r\ncontent-length: 2\r\n\r\n"
    last = call.replace(b"host: x", b"host: x\r\nconnection: close")
    received = exchange(echo.client, call + b"ab" + call + b"cd", last, b"e", b"f")
    replies = received.split(b"HTTP/1.1 200 OK")[1:]
    assert [reply.rpartition(b"\r\n\r\n")[2] for reply in replies] == [b"ab", b"cd", b"ef"]
    assert received.count(b"connection: close") == 1


def test_chunked_bodies_and_expectations(echo: Server) -> None:
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: a/b\r\n"
    chunked = b"transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    received = exchange(echo.client, head + chunked, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert received.endswith(b"abcde")


def test_what_is_no_http_is_refused(echo: Server) -> None:
    assert exchange(echo.client, b"\x00\x01nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_big_bodies_come_through(echo: Server) -> None:
    body = os.urandom(6 * 1024 * 1024)
    assert echo.client.invoke(body, "application/octet-stream", "a/b") == (200, body)


def test_listens_on_a_port_without_a_socket_path() -> None:
    with listen({"SAGEMAKER_BIND_TO_PORT": "0"}) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_workers_are_replaced_when_they_die(container: Container, serving: Serving) -> None:
    script = "import os\ndef model_fn(_):\n    return 1\ndef transform_fn(*_):\n    return str(os.getpid()), 'a/b'\n"
    container.write("model/code/inference.py", script)
    server = serving("clary.toolkit.serve", env={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"})
    first = int(server.client.invoke("")[1])
    assert first != server.process.pid
    os.kill(first, signal.SIGKILL)
    assert int(server.client.invoke("")[1]) != first
    assert server.stop()[0] == 0


@needs_installer
def test_requirements_of_the_script_are_there(container: Container, serving: Serving, wheels: Path) -> None:
    container.write("model/code/requirements.txt", f"{wheels}/clary_example-1.0-py3-none-any.whl\n")
    container.write("model/code/inference.py", f"import clary_example\n{ECHO}")
    assert serving("clary.toolkit.serve").client.request("GET", "/ping")[0] == 200
