"""A disk that is full: a clear error for the caller, and everything in order once there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.workbench import Workbench, ended, until
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 96 << 20
LEFT = 2 << 20


def mount(folder: Path) -> str:
    """Why a small disk cannot be mounted here; nothing when it is."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "mounting a small disk needs root"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stderr.strip()


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("small")
    refusal = mount(folder)
    if refusal:
        pytest.skip(refusal)
    server = ClaryServer(folder / "h")
    try:
        server.start()
        yield Workbench(server)
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(bench: Workbench) -> Path:
    """Takes all room but a little."""
    ballast = bench.server.home.parent / "ballast"
    room = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb") as file:
        file.write(b"\0" * (room - LEFT))
    return ballast


def denied(bench: Workbench, content: bytes) -> str:
    with pytest.raises(ClientError) as caught:
        bench.put("big", content)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    return str(caught.value.response["Error"]["Message"])


def test_a_full_disk(small: Workbench) -> None:
    bench = small
    bench.put("big", b"old")
    writes = "import os\nfrom pathlib import Path\nPath('/opt/ml/model/model.bin').write_bytes(os.urandom(60 << 20))\n"
    ballast = fill(bench)

    # Objects: refused with the cause, the old one stays whole.
    assert "disk of the platform is full" in denied(bench, b"n" * (8 << 20))
    assert bench.s3.get_object(Bucket=bench.bucket, Key="big")["Body"].read() == b"old"

    # Jobs: the reason names the disk.
    name = bench.train(writes)
    job: dict[str, Any] = until(lambda: ended(bench.describe(name), "TrainingJobStatus"), 90)
    assert job["TrainingJobStatus"] == "Failed"
    assert "No space left on device" in job["FailureReason"]

    # Room again: everything works as before.
    ballast.unlink()
    bench.put("big", b"n" * (8 << 20))
    assert bench.trained(bench.train("print('fine')\n"))["TrainingJobStatus"] == "Completed"
    assert not list((bench.server.home / "objects" / "incoming").iterdir())
