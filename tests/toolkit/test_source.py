from __future__ import annotations

import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from clary.toolkit.source import NoCodeError, place

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_are_copied(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "train.py").write_text("x = 1")
    place(str(tmp_path / "from"), tmp_path / "code", {})
    assert (tmp_path / "code" / "train.py").read_text() == "x = 1"


def test_code_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("mine")
    place("s3://nobody/asks", tmp_path / "code", {})
    assert (tmp_path / "code" / "train.py").read_text() == "mine"


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoCodeError, match="absent"):
        place(str(tmp_path / "absent"), tmp_path / "code", {})


class Bucket(BaseHTTPRequestHandler):
    """Answers every object with the same archive."""

    content = b""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("ETag", '"x"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


def test_archives_are_fetched_from_the_given_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    (tmp_path / "train.py").write_text("x = 1")
    with tarfile.open(tmp_path / "code.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "train.py", "train.py")
    Bucket.content = (tmp_path / "code.tar.gz").read_bytes()
    with HTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        place("s3://bucket/path/sourcedir.tar.gz", tmp_path / "code", {"AWS_ENDPOINT_URL": endpoint})
        server.shutdown()
        thread.join()
    assert (tmp_path / "code" / "train.py").read_text() == "x = 1"
