"""Kills at many points leave neither half objects nor lost parts, and what they leave over is found and removed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.workbench import until
from tests.conftest import short_home
from tests.crash.test_writes import PART, Writer, content, crash
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "crashes"
ROUNDS = 3
KEYS = 6


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    own = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_ENCRYPT": "yes"})
    own.start()
    yield own
    own.stop()


def scrub(server: ClaryServer, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "clary.cli", "scrub", "--home", str(server.home), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def files(server: ClaryServer, folder: str) -> list[Path]:
    return [path for path in (server.home / "objects" / folder).rglob("*") if path.is_file()]


class Uploader:
    """Multipart uploads of one key, each to its end, one part of them replaced on the way."""

    def __init__(self, server: ClaryServer) -> None:
        self._s3 = server.client("s3")

    def __call__(self, number: int) -> None:
        where = {"Bucket": BUCKET, "Key": "parts"}
        where["UploadId"] = self._s3.create_multipart_upload(**where)["UploadId"]
        self._s3.upload_part(**where, PartNumber=1, Body=b"replaced")
        parts = []
        for part, size in ((1, PART), (2, 100_000)):
            etag = self._s3.upload_part(**where, PartNumber=part, Body=bytes([number % 256]) * size)["ETag"]
            parts.append({"PartNumber": part, "ETag": etag})
        self._s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


def writers_of(server: ClaryServer) -> list[Writer]:
    s3 = server.client("s3")

    def overwrite(number: int) -> None:
        server_key = f"key-{number % KEYS}"
        s3.put_object(Bucket=BUCKET, Key=server_key, Body=content(number))

    def copy_and_delete(number: int) -> None:
        s3.copy_object(Bucket=BUCKET, CopySource=f"{BUCKET}/stays", Key=f"copy-{number % KEYS}")
        if number % 3 == 0:
            s3.delete_object(Bucket=BUCKET, Key=f"copy-{number % KEYS}")

    writers = [Writer(overwrite), Writer(copy_and_delete), Writer(Uploader(server))]
    until(lambda: all(writer.acknowledged for writer in writers), every_s=0.001)
    return writers


def test_no_kill_leaves_anything_half(server: ClaryServer) -> None:
    server.client("s3").create_bucket(Bucket=BUCKET)
    server.client("s3").put_object(Bucket=BUCKET, Key="stays", Body=content(1))
    for turn in range(ROUNDS):
        writers = writers_of(server)
        overwriting, _, uploading = writers
        crash(server, writers, random.Random(turn).randrange(12, 60))
        s3 = server.client("s3")
        last = {number % KEYS: number for number in overwriting.acknowledged}
        for index, number in last.items():
            body = s3.get_object(Bucket=BUCKET, Key=f"key-{index}")["Body"].read()
            assert body in (content(number), content(overwriting.begun))
        body = s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read()
        assert len(body) == PART + 100_000
        assert body[0] in (uploading.acknowledged[-1] % 256, uploading.begun % 256)
        report = scrub(server)
        assert (report["Damaged"], report["Missing"]) == (0, 0), report["Findings"]
    server.kill()
    orphaned = scrub(server, "--remove-orphans")
    assert orphaned["Removed"] == orphaned["Orphaned"]
    assert scrub(server)["Findings"] == []
    server.start()
    assert not files(server, "incoming")
