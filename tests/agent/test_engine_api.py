from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from clary.agent.engine_api import Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Speaker:
    """An engine that says what it is told to say, one answer a connection."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine(str(path))
        self.heard: list[str] = []
        self._answers: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def will_say(self, status: int, body: object = b"", *, cut: int = 0) -> None:
        """`cut`: bytes of the body that never come."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        self._answers.append(head + data[: len(data) - cut])

    def will_hang_up(self) -> None:
        self._answers.append(b"")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as received:
                self.heard.append(received.readline().decode().removesuffix(" HTTP/1.1\r\n"))
                while (line := received.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        received.peek(int(line.split(b":")[1]))
                connection.sendall(self._answers.pop(0))


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Speaker]:
    speaker = Speaker(tmp_path / "s")
    yield speaker
    speaker.close()


def frame(kind: int, data: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4) + data


def test_a_refusal_is_told_in_the_words_of_the_engine(speaker: Speaker) -> None:
    speaker.will_say(500, {"message": "no room"})
    with pytest.raises(EngineError, match="no room") as caught:
        speaker.engine.start("c")
    assert caught.value.status == 500
    assert speaker.heard == ["POST /containers/c/start"]


def test_a_refusal_without_a_form_is_told_as_it_is(speaker: Speaker) -> None:
    speaker.will_say(502, b"<html>")
    with pytest.raises(EngineError, match="<html>"):
        speaker.engine.describe()


@pytest.mark.parametrize("status", [204, 404, 409])
def test_what_is_gone_need_not_be_removed(speaker: Speaker, status: int) -> None:
    speaker.will_say(status, b"" if status == 204 else {"message": "gone"})
    speaker.engine.remove("c")


def test_an_engine_that_hangs_up_is_told(speaker: Speaker) -> None:
    speaker.will_hang_up()
    with pytest.raises(ConnectionError):
        speaker.engine.describe()
    speaker.will_say(200, {"NCPU": 2}, cut=3)
    with pytest.raises(ConnectionError, match="hung up"):
        speaker.engine.describe()


def test_output_comes_in_frames(speaker: Speaker) -> None:
    speaker.will_say(200, frame(1, b"out") + frame(2, b"") + frame(2, b"err") + frame(1, b"x" * 200_000))
    data = b"".join(speaker.engine.attach("c"))
    assert data == b"outerr" + b"x" * 200_000


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_output_that_is_cut_off_ends(speaker: Speaker, cut: int) -> None:
    speaker.will_say(200, frame(1, b"whole") + frame(1, b""), cut=cut)
    assert b"".join(speaker.engine.attach("c")) == b"whole"


def test_an_image_that_was_refused_late_is_told(speaker: Speaker) -> None:
    speaker.will_say(200, b'{"status":"Loading layer"}\n{"error":"invalid diffID"}\n')
    speaker.will_say(404, {"message": "no such image"})
    with pytest.raises(EngineError, match="invalid diffID"):
        speaker.engine.load_image("localhost/clary:1", iter([b"tar"]))


def test_an_image_that_is_refused_before_it_is_read_is_told(speaker: Speaker) -> None:
    speaker.will_say(507, {"message": "no space left"})
    with pytest.raises(EngineError, match="no space left"):
        # More than a socket holds, so that the engine has closed before the end.
        speaker.engine.load_image("localhost/clary:1", (bytes(1 << 16) for _ in range(64)))


def test_a_port_of_what_has_ended_is_nowhere(speaker: Speaker) -> None:
    for ports in (None, {}, {"8080/tcp": None}):
        speaker.will_say(200, {"NetworkSettings": {"Ports": ports}})
        assert speaker.engine.published("c", 8080) == 0
    speaker.will_say(200, {"NetworkSettings": {"Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}]}}})
    assert speaker.engine.published("c", 8080) == 49153
