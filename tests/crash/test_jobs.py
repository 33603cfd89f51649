"""What becomes of a job when the server is killed in one of its phases."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from clary.agent.bundle import agent_pid
from tests.acceptance.workbench import Workbench, until
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL_BYTES = 40_000_000
INPUTS = 400
ROW = b"1,2,3\n" * 100
LINES = 300
SCRIPT = f"""
import hashlib, os, time
from pathlib import Path

inputs = sorted(Path(os.environ["SM_CHANNEL_TRAIN"]).iterdir())
assert len(inputs) == {INPUTS}, len(inputs)
for number in range({LINES}):
    print("line", number, flush=True)
    time.sleep(0.003)
data = os.urandom({MODEL_BYTES})
Path(os.environ["SM_MODEL_DIR"], "model.bin").write_bytes(data)
print("digest", hashlib.sha256(data).hexdigest(), flush=True)
"""


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    yield Workbench(server)
    server.stop()


def restart(bench: Workbench) -> None:
    bench.server.kill()
    bench.server.start()


def request(bench: Workbench) -> dict[str, Any]:
    for number in range(INPUTS):
        bench.put(f"data/{number:04d}.csv", ROW)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": bench.uri("data/")}}
    return bench.request(SCRIPT, InputDataConfig=[{"ChannelName": "train", "DataSource": source}])


def bundle(bench: Workbench, name: str) -> Path:
    jobs = bench.server.home / "workloads" / "training-job" / "000000000000" / "us-east-1"
    return jobs / name / "attempt-1" / "algo-1"


def at_once(bench: Workbench, name: str) -> bool:
    return True


def downloading(bench: Workbench, name: str) -> bool:
    small = bundle(bench, name) / "inputs" / "pieces" / "0"
    return small.exists() and small.stat().st_size > INPUTS * len(ROW) // 4


def training(bench: Workbench, name: str) -> bool:
    return any(line.startswith("line 5") for line in bench.log(name))


def archiving(bench: Workbench, name: str) -> bool:
    return any(path.suffix == ".part" for path in bundle(bench, name).glob(".model.tar.gz*"))


def uploading(bench: Workbench, name: str) -> bool:
    return (bundle(bench, name) / "exit.json").exists()


def finished(bench: Workbench, name: str) -> bool:
    return bool(bench.describe(name)["TrainingJobStatus"] == "Completed")


@pytest.mark.parametrize("phase", [at_once, downloading, training, archiving, uploading, finished])
def test_a_job_is_found_again(bench: Workbench, phase: Callable[[Workbench, str], bool]) -> None:
    asked = request(bench)
    name = asked["TrainingJobName"]
    bench.sagemaker.create_training_job(**asked)
    until(lambda: phase(bench, name), 60, every_s=0.001)
    restart(bench)
    job = bench.trained(name, 60)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]][-1] == "Completed"
    log = bench.log(name)
    assert [line for line in log if line.startswith("line ")] == [f"line {number}" for number in range(LINES)]
    told = [line.split()[1] for line in log if line.startswith("digest ")]
    assert told == [digest(bench, job)]
    until(lambda: not bundle(bench, name).exists(), 10)
    assert processes(bench, name) == []


def digest(bench: Workbench, job: dict[str, Any]) -> str:
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"][5:].partition("/")
    content = bench.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        file = tar.extractfile("model.bin")
        assert file is not None
        return hashlib.sha256(file.read()).hexdigest()


def processes(bench: Workbench, name: str) -> list[int]:
    """The processes that belong to a job."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TRAINING_JOB_NAME") == name or name in " ".join(process.cmdline()):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def test_a_stop_that_was_acknowledged_is_kept(bench: Workbench) -> None:
    name = bench.train("import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
    until(lambda: "ready" in bench.log(name))
    bench.sagemaker.stop_training_job(TrainingJobName=name)
    restart(bench)
    assert bench.trained(name)["TrainingJobStatus"] == "Stopped"
    until(lambda: not bundle(bench, name).exists(), 10)
    assert processes(bench, name) == []


def test_a_job_that_ended_while_the_server_was_down(bench: Workbench) -> None:
    asked = request(bench)
    name = asked["TrainingJobName"]
    bench.sagemaker.create_training_job(**asked)
    until(lambda: training(bench, name), 60)
    bench.server.kill()
    until(lambda: uploading(bench, name), 60)
    ended = time.time()
    time.sleep(1.1)
    bench.server.start()
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Completed"
    assert job["BillableTimeInSeconds"] <= ended - job["CreationTime"].timestamp() + 1


def test_a_job_whose_agent_died_with_the_server_has_failed(bench: Workbench) -> None:
    name = bench.train("import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
    until(lambda: "ready" in bench.log(name))
    bench.server.kill()
    for pid in processes(bench, name):
        psutil.Process(pid).kill()
    bench.server.start()
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Failed"
    assert "The processes of the job were lost" in job["FailureReason"] or "exit code: 137" in job["FailureReason"]


ECHO = "def model_fn(folder):\n    return 1\n\ndef transform_fn(model, body, kind, accept):\n    return body, kind\n"
SLOW = f"import time\ntime.sleep(2)\n{ECHO}"


def test_endpoints_stay_in_service(bench: Workbench) -> None:
    endpoint = bench.endpoint(bench.model({"code/inference.py": ECHO}), InitialInstanceCount=2)
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    before = servers(bench)
    assert len(before) == 2
    restart(bench)
    until(lambda: answers(bench, endpoint), 30)
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    assert servers(bench) == before
    bench.sagemaker.delete_endpoint(EndpointName=endpoint)
    bench.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert servers(bench) == set()


def answers(bench: Workbench, endpoint: str) -> bool:
    try:
        return bool(bench.ask(endpoint, "1"))
    except bench.runtime.exceptions.ClientError:
        return False


def servers(bench: Workbench) -> set[int]:
    """The agents of the model servers of this platform."""
    folders = (bench.server.home / "e").glob("*")
    return {pid for folder in folders if (pid := agent_pid(folder)) is not None}


def test_an_endpoint_that_was_being_made(bench: Workbench) -> None:
    endpoint = bench.endpoint(bench.model({"code/inference.py": SLOW}))
    until(lambda: servers(bench), 20, every_s=0.005)
    restart(bench)
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    assert bench.ask(endpoint, "1,2") == "1,2"
    bench.sagemaker.delete_endpoint(EndpointName=endpoint)
    until(lambda: not servers(bench), 40)
