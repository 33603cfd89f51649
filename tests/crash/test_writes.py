"""What was acknowledged is there after a kill, and what is there is whole."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.acceptance.workbench import SKLEARN, Workbench, until
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENOUGH = 150
"""Acknowledged writes after which the server is killed."""

PART = 5 << 20
KEYS = 4


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    own = ClaryServer(short_home(tmp_path_factory))
    own.start()
    yield own
    own.stop()


@dataclass
class Writer:
    """Writes in a thread of its own until the server is gone; notes what was acknowledged."""

    write: Callable[[int], Any]
    acknowledged: list[int] = field(default_factory=list)
    begun: int = 0
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while True:
                self.begun += 1
                self.write(self.begun)
                self.acknowledged.append(self.begun)
        except (BotoCoreError, ClientError):
            return


def crash(server: ClaryServer, writers: list[Writer], enough: int) -> None:
    """Kills the server in the middle of it all and starts it again."""
    until(lambda: sum(len(writer.acknowledged) for writer in writers) >= enough, 60, every_s=0.001)
    server.kill()
    for writer in writers:
        writer.thread.join()
        assert writer.acknowledged, "nothing was written before the crash"
    server.start()


def test_acknowledged_creations_are_there(server: ClaryServer) -> None:
    bench = Workbench(server)
    sagemaker, iam, s3 = server.client("sagemaker"), server.client("iam"), server.client("s3")
    container = {"Image": SKLEARN}
    writers = [
        Writer(
            lambda number: sagemaker.create_model(
                ModelName=f"model-{number}", PrimaryContainer=container, ExecutionRoleArn=bench.role
            )
        ),
        Writer(lambda number: iam.create_user(UserName=f"user-{number}")),
        Writer(lambda number: s3.put_object(Bucket=bench.bucket, Key=f"key-{number}", Body=str(number))),
    ]
    crash(server, writers, ENOUGH)
    models, users, keys = (writer.acknowledged for writer in writers)
    for number in models:
        assert sagemaker.describe_model(ModelName=f"model-{number}")["PrimaryContainer"]["Image"] == SKLEARN
    for number in users:
        assert iam.get_user(UserName=f"user-{number}")["User"]["UserName"] == f"user-{number}"
    for number in keys:
        assert s3.get_object(Bucket=bench.bucket, Key=f"key-{number}")["Body"].read() == str(number).encode()
    # What was under way is there or not, and can be made again if not.
    pages = sagemaker.get_paginator("list_models").paginate()
    listed = {entry["ModelName"] for page in pages for entry in page["Models"]}
    assert listed - {f"model-{number}" for number in models} <= {f"model-{writers[0].begun}"}


def content(number: int) -> bytes:
    """Bytes that tell which write they come from, and that differ in length."""
    return f"{number:08d}".encode() * random.Random(number).randrange(20_000, 400_000)


def test_objects_are_old_or_new(server: ClaryServer) -> None:
    bench = Workbench(server)

    def overwriting(key: str) -> Writer:
        s3 = server.client("s3")
        return Writer(lambda number: s3.put_object(Bucket=bench.bucket, Key=key, Body=content(number)))

    writers = {f"key-{index}": overwriting(f"key-{index}") for index in range(KEYS)}
    crash(server, list(writers.values()), 4 * KEYS)
    for key, writer in writers.items():
        got = bench.s3.get_object(Bucket=bench.bucket, Key=key)
        body = got["Body"].read()
        number = int(body[:8])
        assert number in {writer.acknowledged[-1], writer.begun}
        assert body == content(number)
        assert got["ContentLength"] == len(body)


def test_multipart_uploads_are_whole(server: ClaryServer) -> None:
    bench = Workbench(server)
    s3 = server.client("s3")

    def upload(number: int) -> None:
        where = {"Bucket": bench.bucket, "Key": "big"}
        where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
        parts = [
            {
                "PartNumber": part,
                "ETag": s3.upload_part(**where, PartNumber=part, Body=bytes([number % 256]) * PART)["ETag"],
            }
            for part in (1, 2)
        ]
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})

    writer = Writer(upload)
    crash(server, [writer], 2)
    body = bench.s3.get_object(Bucket=bench.bucket, Key="big")["Body"].read()
    assert len(body) == 2 * PART
    assert set(body) in ({writer.acknowledged[-1] % 256}, {writer.begun % 256})
    # An upload that was under way goes on or is given up, as its owner likes.
    for open_upload in bench.s3.list_multipart_uploads(Bucket=bench.bucket).get("Uploads", []):
        bench.s3.abort_multipart_upload(Bucket=bench.bucket, Key="big", UploadId=open_upload["UploadId"])
