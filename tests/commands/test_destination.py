from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from clary.cli import main
from clary.destinations import Destinations
from clary.settings import Settings
from clary.store.engines import open_database
from clary.store.keyring import Keyring
from clary.store.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
BUCKET = "arn:aws:s3:::elsewhere"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["destination", *arguments, "--home", str(tmp_path)])
        told = capsys.readouterr()
        return status, told.out, told.err

    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    return run


def found(home: Path, arn: str) -> Any:
    settings = Settings(home=home)
    database = open_database(settings)
    destination = Destinations(Records(database), Keyring.at(settings.key_path), settings.account).find(arn)
    database.close()
    return destination


def test_webhooks_and_buckets_are_registered_and_forgotten(run: Callable[..., Any], tmp_path: Path) -> None:
    secret = run("put", TOPIC, "https://example.com/hook")[1].split()[-1]
    assert run("put", BUCKET, "http://127.0.0.1:9000", "--access-key-id", "AKIA")[0] == 0
    assert run() == (0, f"{BUCKET}  http://127.0.0.1:9000\n{TOPIC}  https://example.com/hook\n", "")
    assert found(tmp_path, TOPIC).secrets == {"Secret": secret}
    assert found(tmp_path, BUCKET).secrets["SecretAccessKey"] == "secret"
    assert secret.encode() not in (tmp_path / "clary.db").read_bytes()
    assert run("remove", TOPIC)[0] == 0
    assert found(tmp_path, TOPIC) is None
    assert run("remove", TOPIC) == (1, "", f"clary: there is no destination {TOPIC}\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((TOPIC, "file:///etc/passwd"), "is no http or https address"),
        ((TOPIC, "http://user:word@example.com"), "without a user name"),
        ((BUCKET, "http://127.0.0.1:9000"), "needs --access-key-id"),
        (("arn:aws:iam::000000000000:role/x", "http://example.com"), "nothing is sent to"),
        (("news", "http://example.com"), "not an ARN"),
    ],
)
def test_what_cannot_be_called_is_refused(run: Callable[..., Any], arguments: tuple[str, str], text: str) -> None:
    status, _, error = run("put", *arguments)
    assert status == 1
    assert text in error
