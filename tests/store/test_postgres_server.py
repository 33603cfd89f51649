"""The whole platform with its records in PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.workbench import Workbench, until
from tests.conftest import short_home
from tests.server import ClaryServer, free_port
from tests.store.conftest import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import PostgresServer

SCRIPT = """
import os
from pathlib import Path
Path(os.environ["SM_MODEL_DIR"], "model.bin").write_bytes(b"model")
print("trained", flush=True)
"""
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
LARGE = bytes(range(256)) * 4000


@contextmanager
def platform(home: Path, database: str, **settings: str) -> Iterator[ClaryServer]:
    running = ClaryServer(home, settings={"CLARY_DATABASE": database, **settings})
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short_home(tmp_path_factory)


@pytest.fixture
def server(postgres: PostgresServer, home: Path) -> Iterator[ClaryServer]:
    with platform(home, postgres.schema(f"test_{next(NAMES)}"), CLARY_GATEWAYS="2") as running:
        yield running


def test_everything_is_still_there_after_a_kill(server: ClaryServer) -> None:
    bench = Workbench(server)
    s3, iam = server.client("s3"), server.client("iam")
    bench.put("small", b"small")
    bench.put("large", LARGE)
    with pytest.raises(ClientError, match="cannot keep"):
        bench.put("with a \0", b"")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    job = bench.train(SCRIPT)
    bench.trained(job)

    server.kill()
    server.start()

    assert bench.describe(job)["TrainingJobStatus"] == "Completed"
    assert "trained" in bench.log(job)
    for name, content in (("small", b"small"), ("large", LARGE)):
        assert s3.get_object(Bucket=bench.bucket, Key=name)["Body"].read() == content
    # Requests land in any of the processes, and each knows at once what another has changed.
    ann = server.client("s3", **keys)
    for _ in range(5):
        iam.put_user_policy(UserName="ann", PolicyName="read", PolicyDocument=json.dumps(READ))
        for _ in range(5):
            assert ann.get_object(Bucket=bench.bucket, Key="small")["Body"].read() == b"small"
        iam.delete_user_policy(UserName="ann", PolicyName="read")
        for _ in range(5):
            with pytest.raises(ClientError, match="AccessDenied"):
                ann.get_object(Bucket=bench.bucket, Key="small")


def test_a_second_platform_is_refused(server: ClaryServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    command = [sys.executable, "-m", "clary.cli", "up", "--home", str(short_home(tmp_path_factory))]
    second = subprocess.run(
        [*command, "--port", str(free_port())],
        env=server.settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert second.returncode == 1
    assert "another platform works with this database" in second.stderr


def test_the_platform_survives_a_restart_of_the_database(own: PostgresServer, home: Path) -> None:
    with platform(home, own.url) as server:
        bench = Workbench(server)
        bench.put("before", b"1")
        own.stop()
        for _ in range(2):
            with pytest.raises(ClientError, match="ServiceUnavailable"):
                bench.put("while it is down", b"2")
        own.start()

        def works() -> bool:
            try:
                bench.put("after", b"3")
            except ClientError:
                return False
            return True

        until(works)
        # The loop of the controllers has found its way back too.
        job = bench.train(SCRIPT)
        assert bench.trained(job)["TrainingJobStatus"] == "Completed"
