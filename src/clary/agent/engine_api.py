"""A container engine of this machine, spoken to by the API of Docker, which podman understands too.

Source: "Docker Engine API", sections Container and Image. Requests name no version: each engine then takes its own.
"""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TIMEOUT_S = 60.0
_LOAD_TIMEOUT_S = 3600.0
"""Engines write large images to the disk before they answer."""
_FRAME_HEAD_BYTES = 8
_PIECE_BYTES = 1 << 16


class EngineError(OSError):
    """What an engine answers to a request that it refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """The engine that listens at a Unix socket.

    Raises:
        EngineError: it refuses a request.
        OSError: it does not answer.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def describe(self) -> Mapping[str, Any]:
        """What the machine of the engine has and can limit."""
        return self._ask("GET", "/info")  # type: ignore[no-any-return]  # as the API says

    def has_image(self, name: str) -> bool:
        """Whether an image is there."""
        with _tolerated(404):
            self._ask("GET", f"/images/{name}/json")
            return True
        return False

    def load_image(self, name: str, archive: Iterable[bytes]) -> None:
        """Bring an image in, as `docker save` writes it; the archive tells its name."""
        with self._send("POST", "/images/load", archive, timeout_s=_LOAD_TIMEOUT_S) as answer:
            told = answer.read()
        # Errors may come after the status was sent.
        if not self.has_image(name):
            raise EngineError(500, _last_error(told))

    def remove_image(self, name: str) -> None:
        """Take an image away; one that is not there or in use is left alone."""
        with _tolerated(404, 409):
            self._ask("DELETE", f"/images/{name}")

    def make_network(self, name: str, subnet: str, gateway: str) -> None:
        """Make a network in which containers reach this machine at `gateway`, unless it is there."""
        with _tolerated(404):
            self._ask("GET", f"/networks/{name}")
            return
        ranges = {"Config": [{"Subnet": subnet, "Gateway": gateway}]}
        with _tolerated(409):
            self._ask("POST", "/networks/create", {"Name": name, "Driver": "bridge", "IPAM": ranges})

    def published(self, name: str, port: int) -> int:
        """Where on this machine a port of a container is reached; 0 when it does not run any more."""
        places = (self.inspect(name)["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
        return int(places[0]["HostPort"]) if places else 0

    def create(self, name: str, specification: Mapping[str, Any]) -> None:
        """Make a container."""
        self._ask("POST", f"/containers/create?name={name}", specification)

    def labels(self, label: str) -> dict[str, str]:
        """The values of a label by the ids of all containers that bear it."""
        wanted = urlencode({"all": 1, "filters": json.dumps({"label": [label]})})
        found = self._ask("GET", f"/containers/json?{wanted}")
        return {container["Id"]: container["Labels"][label] for container in found}

    def attach(self, name: str) -> Iterator[bytes]:
        """What a container prints from now on, until it ends."""
        return _frames(self._send("POST", f"/containers/{name}/attach?stream=1&stdout=1&stderr=1", timeout_s=None))

    def start(self, name: str) -> None:
        """Begin the command of a container."""
        self._ask("POST", f"/containers/{name}/start")

    def inspect(self, name: str) -> Mapping[str, Any]:
        """What is known about a container."""
        return self._ask("GET", f"/containers/{name}/json")  # type: ignore[no-any-return]  # as the API says

    def wait(self, name: str) -> Mapping[str, Any]:
        """The state of a container once it has ended; 128 and a signal as `ExitCode` if that ended it."""
        self._ask("POST", f"/containers/{name}/wait", timeout_s=None)
        # What is answered for one that somebody takes away meanwhile differs; it cannot be inspected any more.
        return self.inspect(name)["State"]  # type: ignore[no-any-return]  # as the API says

    def kill(self, name: str, signal: str) -> None:
        """Send a signal to the command of a running container."""
        self._ask("POST", f"/containers/{name}/kill?signal={signal}")

    def remove(self, name: str) -> None:
        """Take a container away, whatever it does; safe to repeat."""
        with _tolerated(404, 409):
            self._ask("DELETE", f"/containers/{name}?force=1&v=1")

    def _ask(self, method: str, target: str, question: object = None, *, timeout_s: float | None = _TIMEOUT_S) -> Any:
        body = None if question is None else json.dumps(question).encode()
        try:
            with self._send(method, target, body, timeout_s=timeout_s) as answer:
                data = answer.read()
        except HTTPException as error:
            raise ConnectionError(f"the container engine at {self._path} hung up") from error
        return json.loads(data) if data else None

    def _send(
        self, method: str, target: str, body: bytes | Iterable[bytes] | None = None, *, timeout_s: float | None
    ) -> HTTPResponse:
        connection = _Connection(self._path, timeout_s)
        kind = "application/json" if isinstance(body, bytes) else "application/x-tar"
        try:
            # An engine that refuses a body may answer and close without having read it all.
            with suppress(BrokenPipeError):
                connection.request(method, target, body, {"Content-Type": kind, "Connection": "close"})
            response = connection.getresponse()
        except HTTPException as error:
            connection.close()
            raise ConnectionError(f"the container engine at {self._path} hung up") from error
        except OSError as error:
            connection.close()
            raise ConnectionError(f"the container engine at {self._path} does not answer: {error}") from error
        if connection.sock is not None:
            # The response holds it until that is closed.
            connection.sock.close()
        if response.status >= 300:
            with response:
                raise EngineError(response.status, _message(response.read()))
        return response


@contextmanager
def _tolerated(*statuses: int) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        if error.status not in statuses:
            raise


class _Connection(HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _frames(response: HTTPResponse) -> Iterator[bytes]:
    """The output in the frames of an attached stream, each of which begins with its kind and its length."""
    # A stream that is cut off ends; whether the container has ended too is asked for afterwards.
    with response, suppress(HTTPException):
        while len(head := response.read(_FRAME_HEAD_BYTES)) == _FRAME_HEAD_BYTES:
            left = int.from_bytes(head[4:])
            while left and (data := response.read1(min(left, _PIECE_BYTES))):
                left -= len(data)
                yield data


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, LookupError, TypeError):
        return data.decode("utf-8", "replace")


def _last_error(told: bytes) -> str:
    """The error among the lines of a progress report."""
    for line in reversed(told.splitlines()):
        try:
            return str(json.loads(line)["error"])
        except (ValueError, LookupError, TypeError):
            continue
    return told.decode("utf-8", "replace").strip()
