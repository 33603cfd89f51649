"""A gateway that shares nothing with the control process but PostgreSQL, a bucket of another server and the key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.workbench import until
from tests.conftest import short_home
from tests.peers import RcloneServer, rclone
from tests.postgres import PostgresServer, programs
from tests.server import ClaryServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = bytes(range(256)) * 1024


@pytest.fixture
def shared() -> Iterator[dict[str, str]]:
    """The settings of a platform whose records and objects are elsewhere."""
    postgresql, peer = programs(), rclone()
    if postgresql is None or peer is None:
        # Where everything must be checked, nothing is left out silently.
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("there is no PostgreSQL or no rclone on this machine")
    # Sockets need a short path, and another user must be able to get there.
    with TemporaryDirectory(prefix="clary-pg-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        database, objects = PostgresServer(postgresql, folder / "s"), RcloneServer(peer, folder / "peer" / "objects")
        database.make()
        database.start()
        objects.start()
        (objects.folder / "bytes").mkdir()
        yield {
            "CLARY_DATABASE": database.url,
            "CLARY_OBJECTS": objects.address("bytes"),
            "CLARY_KEY_FILE": str(folder / "key"),
            "CLARY_WARM_WORKERS": "0",
        }
        objects.stop()
        database.stop()


def test_a_gateway_on_another_machine(shared: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    control = ClaryServer(short_home(tmp_path_factory), settings=shared)
    control.start()
    elsewhere = ClaryServer(short_home(tmp_path_factory), port=free_port(), settings=shared)
    (elsewhere.home / "credentials").write_bytes((control.home / "credentials").read_bytes())
    command = [sys.executable, "-m", "clary.cli", "gateway", "--home", str(elsewhere.home)]
    command += ["--port", str(elsewhere.port), "--control", f"127.0.0.1:{control.port}"]
    gateway = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", **shared})
    try:
        until(lambda: gateway.poll() is None and _lists_buckets(elsewhere), 20)
        elsewhere.client("s3").create_bucket(Bucket="bucket")
        elsewhere.client("s3").put_object(Bucket="bucket", Key="large", Body=LARGE)
        assert control.client("s3").get_object(Bucket="bucket", Key="large")["Body"].read() == LARGE
        control.client("iam").create_user(UserName="user")
        assert elsewhere.client("iam").get_user(UserName="user")["User"]["UserName"] == "user"
        assert elsewhere.client("sagemaker").list_models()["Models"] == []
        assert elsewhere.client("logs").describe_log_groups()["logGroups"] == []
    finally:
        gateway.terminate()
        gateway.wait(20)
        control.stop()


def _lists_buckets(server: ClaryServer) -> bool:
    try:
        server.client("s3").list_buckets()
    except Exception:  # noqa: BLE001  # it is not up yet
        return False
    return True


def test_what_machines_cannot_share_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "clary.cli", "gateway", "--home", str(tmp_path), "--control", "127.0.0.1:4100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    assert "CLARY_DATABASE must be set" in done.stderr
