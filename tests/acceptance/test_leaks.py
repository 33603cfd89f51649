"""What a hundred jobs of all kinds leave on the machine: nothing."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from boto3.s3.transfer import TransferConfig

from clary.compute.probe import probe
from tests.acceptance.workbench import Workbench, ended, until
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JOBS = 100
MIB = 1 << 20
SCRIPTS = {
    "good": "print('good')",
    "failing": "raise ValueError('no')",
    "crashing": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "greedy": "data = bytearray(b'x' * (3 << 30))",
    "binary": "import os; [os.write(1, os.urandom(4096)) for _ in range(256)]",
    "loud": "print('a line of many\\n' * 200_000)",
    "orphans": (
        "import subprocess, sys\n"
        "for _ in range(5):\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    ),
    "endless": "print('waits', flush=True); import time; time.sleep(600)",
    "reading": "print(len(open('/opt/ml/input/data/train/parts', 'rb').read()))",
    "piping": "print(len(open('/opt/ml/input/data/train_0', 'rb').read(100)))",
}


@dataclass(frozen=True, slots=True)
class Traces:
    """What could be left of jobs."""

    workloads: set[str]
    """Of processes that are there, by what their environment says."""
    control_groups: set[Path]
    bundles: set[Path]
    mounts: int
    files: int
    """Open files and sockets of the server."""


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    yield Workbench(server)
    server.stop()


def traces(bench: Workbench, control_groups: Mapping[str, str]) -> Traces:
    assert bench.server.process is not None
    return Traces(
        {_workload(process) for process in psutil.process_iter()},
        {group for folder in control_groups.values() for group in Path(folder).glob("*/")},
        set((bench.server.home / "workloads").glob("*/*/*/*")),
        Path("/proc/self/mountinfo").read_text().count(str(bench.server.home)),
        psutil.Process(bench.server.process.pid).num_fds(),
    )


def _workload(process: psutil.Process) -> str:
    try:
        return process.environ().get("CLARY_WORKLOAD", "")
    except psutil.Error:
        return ""


def options(bench: Workbench, kind: str, dice: random.Random) -> dict[str, Any]:
    mode = {"reading": dice.choice(["File", "FastFile"]), "piping": "Pipe"}.get(kind)
    source = {"S3DataType": "S3Prefix", "S3Uri": bench.uri("data/")}
    channels = [{"ChannelName": "train", "DataSource": {"S3DataSource": source}, "InputMode": mode}]
    hosts = dice.choice([1, 1, 1, 2]) if kind in {"good", "failing", "endless"} else 1
    return {
        "ResourceConfig": {"InstanceType": "ml.t3.medium" if kind == "greedy" else "ml.m5.large"}
        | {"InstanceCount": hosts, "VolumeSizeInGB": 1},
        "EnableNetworkIsolation": dice.random() < 0.3,
        **({"InputDataConfig": channels} if mode else {}),
        **({"CheckpointConfig": {"S3Uri": bench.uri("checkpoints")}} if kind == "good" else {}),
    }


def run(bench: Workbench, count: int, dice: random.Random) -> dict[str, set[str]]:
    """The statuses in which the jobs of each kind ended."""
    kinds = [kind for _ in range(count) for kind in SCRIPTS][:count]
    names = {bench.train(SCRIPTS[kind], **options(bench, kind, dice)): kind for kind in kinds}
    found: dict[str, set[str]] = {kind: set() for kind in SCRIPTS}
    for name, kind in names.items():
        if kind == "endless":
            # Some are stopped while they wait for their turn, others while they run.
            bench.sagemaker.stop_training_job(TrainingJobName=name)
        job = until(lambda name=name: ended(bench.describe(name), "TrainingJobStatus"), 120)  # type: ignore[misc]  # bound at once
        found[kind].add(job["TrainingJobStatus"])
    return found


def test_a_hundred_mixed_jobs_leave_nothing(bench: Workbench) -> None:
    machine = probe()
    if machine.isolation == "none":
        pytest.skip("many of them need sandboxes")
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    bench.s3.upload_fileobj(io.BytesIO(bytes(11 * MIB)), bench.bucket, "data/parts", Config=config)
    dice = random.Random(1)
    before = traces(bench, machine.cgroups)
    run(bench, len(SCRIPTS), dice)
    settled = traces(bench, machine.cgroups)
    found = run(bench, JOBS, dice)
    assert found.pop("endless") == {"Stopped"}
    failing = {"failing", "crashing", "greedy"}
    assert found == {kind: {"Failed" if kind in failing else "Completed"} for kind in found}
    until(lambda: not traces(bench, machine.cgroups).bundles)
    left = traces(bench, machine.cgroups)
    # Other servers may end what they run meanwhile.
    assert left.workloads <= before.workloads
    assert left.control_groups <= before.control_groups
    assert left.mounts == before.mounts
    assert left.files <= settled.files + 8
