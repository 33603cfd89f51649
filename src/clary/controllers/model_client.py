"""Asks the model server of a batch transform, as often and as long as the job allows."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from clary.controllers.replica import PING_TIMEOUT_S
from clary.controllers.unix_http import UnixConnection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT_S = 600
RETRIES = 3
PAYLOAD_MB = 6
MESSAGE_CHARACTERS = 1024


class InvocationError(Exception):
    """The model server did not answer, or not with success; `fault` tells whose fault it is, as a failure reason."""

    def __init__(self, fault: str, status: str, message: str) -> None:
        super().__init__(f"{fault}: {status}\n{message}".rstrip())
        self.fault = fault


class Answer(NamedTuple):
    """What the model said."""

    body: bytes
    content_type: str


class Limits(NamedTuple):
    """How requests are made: as the job says, else as the container asks, else by default."""

    concurrent: int
    payload_bytes: int
    several: bool

    def __str__(self) -> str:
        strategy = "MULTI_RECORD" if self.several else "SINGLE_RECORD"
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.payload_bytes >> 20}, "
            f"BatchStrategy={strategy}"
        )


def limits(spec: Mapping[str, Any], socket: Path) -> Limits:
    """What holds for a transform job whose model server listens at `socket`."""
    wishes = _execution_parameters(socket)
    if "MaxPayloadInMB" in spec:
        wishes["MaxPayloadInMB"] = spec["MaxPayloadInMB"]
    if spec.get("MaxConcurrentTransforms"):  # 0 leaves it to the container
        wishes["MaxConcurrentTransforms"] = spec["MaxConcurrentTransforms"]
    strategy = str(spec.get("BatchStrategy") or wishes.get("BatchStrategy", "MultiRecord"))
    return Limits(
        concurrent=int(wishes.get("MaxConcurrentTransforms", 0)) or 1,
        payload_bytes=int(wishes.get("MaxPayloadInMB", PAYLOAD_MB)) << 20,
        several=strategy.replace("_", "").upper() == "MULTIRECORD",
    )


class ModelClient:
    """Asks in threads of its own, each with a connection that it keeps.

    They are daemons, which a pool's are not: the end of the platform must not wait for a slow model.
    """

    def __init__(self, spec: Mapping[str, Any], socket: Path, threads: int) -> None:
        config = spec.get("ModelClientConfig", {})
        self._attempts = 1 + int(config.get("InvocationsMaxRetries", RETRIES))
        self._timeout_s = float(config.get("InvocationsTimeoutInSeconds", TIMEOUT_S))
        self._socket = socket
        types = {
            "Content-Type": spec["TransformInput"].get("ContentType"),
            "Accept": spec["TransformOutput"].get("Accept"),
        }
        self._headers = {name: value for name, value in types.items() if value}
        self._closed = False
        self._tasks: queue.SimpleQueue[tuple[bytes, Future[Answer]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name="transform", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, payload: bytes) -> Future[Answer]:
        """The answer to one request, once it is there; InvocationError when there is none or the model refused."""
        future: Future[Answer] = Future()
        self._tasks.put((payload, future))
        return future

    def close(self) -> None:
        """Asks nothing more; requests under way are left to themselves."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        connection = UnixConnection(self._socket, self._timeout_s)
        while (task := self._tasks.get()) is not None and not self._closed:
            payload, future = task
            try:
                future.set_result(self._invoke(connection, payload))
            except Exception as error:  # noqa: BLE001  # for whoever waits for the answer
                future.set_exception(error)
        connection.close()

    def _invoke(self, connection: UnixConnection, payload: bytes) -> Answer:
        for attempt in range(1, self._attempts + 1):
            try:
                return self._try(connection, payload)
            except InvocationError as error:
                # The same request will not be better the next time when it is the request that is at fault.
                if attempt == self._attempts or error.fault == "ClientError":
                    raise
        raise AssertionError("there is at least one attempt")

    def _try(self, connection: UnixConnection, payload: bytes) -> Answer:
        try:
            connection.request("POST", "/invocations", payload, self._headers)
            response = connection.getresponse()
            body = response.read()
        except TimeoutError:
            connection.close()
            raise InvocationError(
                "AlgorithmError", "Model server did not respond to /invocations in time", ""
            ) from None
        except (OSError, HTTPException) as error:
            connection.close()
            raise InvocationError("AlgorithmError", "Unable to reach the model server", str(error)) from None
        if not 200 <= response.status < 300:
            fault = "ClientError" if 400 <= response.status < 500 else "AlgorithmError"
            message = body.decode("utf-8", "replace")[:MESSAGE_CHARACTERS]
            raise InvocationError(fault, str(response.status), f"\nMessage:\n{message}")
        return Answer(body, response.headers.get("Content-Type", ""))


def _execution_parameters(socket: Path) -> dict[str, Any]:
    """What the container asks for; nothing when it has no opinion."""
    connection = UnixConnection(socket, PING_TIMEOUT_S)
    try:
        connection.request("GET", "/execution-parameters")
        response = connection.getresponse()
        content = orjson.loads(response.read()) if response.status == 200 else {}
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return content if isinstance(content, dict) else {}
