"""What a job reads while the server that began it is dead."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest
from boto3.s3.transfer import TransferConfig

from tests.acceptance.workbench import Workbench, until
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 5 << 20
SCRIPT = """
import hashlib, pathlib, time
data = pathlib.Path("/opt/ml/input/data")
piped = open(data / "piped_0", "rb")
first = piped.read(10)
print("READY", flush=True)
while not pathlib.Path("/tmp/go").exists():
    time.sleep(0.02)
digests = {hashlib.sha256(content).hexdigest() for content in (
    first + piped.read(), (data / "piped_1").read_bytes(), (data / "train" / "parts").read_bytes())}
print("READ", *digests, flush=True)
"""


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    yield Workbench(server)
    server.stop()


def test_files_and_pipes_are_served_without_the_server(bench: Workbench) -> None:
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    bench.s3.upload_fileobj(io.BytesIO(os.urandom(2 * PART + 1)), bench.bucket, "data/parts", Config=config)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": bench.uri("data/")}}
    modes = {"train": "FastFile", "piped": "Pipe"}
    channels = [{"ChannelName": name, "DataSource": source, "InputMode": mode} for name, mode in modes.items()]
    name = bench.train(SCRIPT, InputDataConfig=channels)
    until(lambda: "READY" in bench.log(name))
    bundle = next((bench.server.home / "workloads").glob(f"*/*/*/{name}/*/algo-1"))
    bench.server.kill()
    (bundle / "scratch" / "tmp" / "go").touch()
    until((bundle / "exit.json").exists)
    bench.server.start()
    assert bench.trained(name)["TrainingJobStatus"] == "Completed"
    # All three were the same.
    (line,) = [line for line in bench.log(name) if line.startswith("READ ")]
    assert len(line.split()) == 2
