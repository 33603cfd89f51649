"""One row of 28 features through a LogisticRegression behind InvokeEndpoint, beside other model servers.

Clary checks the signature and the policies of a user that may call this one endpoint. The others check nothing.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.client import load
from benchmarks.control_plane import IMAGE, TRUST
from benchmarks.processes import cpu_seconds
from benchmarks.report import Row, at_least, at_most, fact, median
from benchmarks.servers import PEERS, clary, free_port, peer, python
from benchmarks.signed import Signer

if TYPE_CHECKING:
    from tests.server import ClaryServer

    from benchmarks.client import Address

TITLE = "Inference"
ROUNDS = 7
CONNECTIONS = 16
ALONE_S, TOGETHER_S = 0.5, 0.8
FEATURES = 28
ENDPOINT = "bench"
ROW = [round(0.1 * number - 1.3, 2) for number in range(FEATURES)]
JSON, CSV = "application/json", "text/csv"
BODIES = {JSON: json.dumps([ROW]).encode(), CSV: ",".join(map(str, ROW)).encode()}
TRAIN = f"""
import sys, joblib, numpy
from sklearn.linear_model import LogisticRegression
random = numpy.random.default_rng(1)
rows = random.normal(size=(2000, {FEATURES}))
joblib.dump(LogisticRegression().fit(rows, rows[:, 0] + rows[:, 1] > 0), sys.argv[1])
"""
SCRIPT = b"""
import joblib

def model_fn(folder):
    return joblib.load(folder + "/model.joblib")
"""


@dataclass
class Target:
    """A model server: its requests by content type, and what was measured of it."""

    name: str
    address: Address
    pid: int
    requests: dict[str, bytes]
    figures: dict[str, list[float]] = field(default_factory=dict)

    def measure(self) -> None:
        for kind, request in self.requests.items():
            self._note(f"{kind} p50", load(self.address, [request], 1, ALONE_S).p50)
            before = cpu_seconds(self.pid)
            run = load(self.address, [request], CONNECTIONS, TOGETHER_S)
            self._note(f"{kind} CPU", (cpu_seconds(self.pid) - before) / len(run.latencies) * 1e6)
            self._note(f"{kind} rate", run.rate)
            self._note(f"{kind} p99", run.p99)

    def median(self, figure: str) -> float:
        return median(self.figures[figure])

    def _note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)


def measure() -> list[Row]:
    """Interleaved rounds; the bare application runs twice, which tells the noise."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="model-bench-")))
        model = folder / "model.joblib"
        subprocess.run([python(""), "-c", TRAIN, model], check=True)
        mine, server = _clary(stack, model)
        bare = _bare(stack, "bare uvicorn", model)
        again = _bare(stack, "bare uvicorn again", model)
        others = [_litserve(stack, model), _mlserver(stack, folder)]
        targets = [bare, mine, again, *others]
        for target in targets:
            _warm_up(target)
        _compare(mine, bare)
        for turn in range(ROUNDS):
            shift = turn % len(targets)
            for target in targets[shift:] + targets[:shift]:
                target.measure()
        rows = [row for kind in (JSON, CSV) for row in _beside_bare(kind, mine, bare, again)]
        for other in others:
            rows += _beside(mine, other)
        return [*rows, fact("InvokeEndpoint with boto3, CSV, p50", _boto3(server), "ms")]


def _beside_bare(kind: str, mine: Target, bare: Target, again: Target) -> list[Row]:
    def difference(one: Target) -> float:
        pairs = zip(one.figures[f"{kind} p50"], bare.figures[f"{kind} p50"], strict=True)
        return median([a - b for a, b in pairs])

    name = {JSON: "JSON", CSV: "CSV"}[kind]
    return [
        fact(f"{name}, c=1: bare uvicorn, p50", bare.median(f"{kind} p50"), "ms"),
        fact(f"{name}, c=1: Clary, p50", mine.median(f"{kind} p50"), "ms"),
        at_most(f"{name}, c=1: Clary over bare uvicorn", difference(mine), "ms", 1.0),
        fact(f"{name}, c=1: A/A control, bare uvicorn over itself", difference(again), "ms"),
        fact(f"{name}, c={CONNECTIONS}: bare uvicorn", bare.median(f"{kind} rate"), "req/s"),
        fact(f"{name}, c={CONNECTIONS}: Clary", mine.median(f"{kind} rate"), "req/s"),
        fact(f"{name}, c={CONNECTIONS}: Clary, p99", mine.median(f"{kind} p99"), "ms"),
        fact(
            f"{name}, c={CONNECTIONS}: CPU of a call, without the model's process",
            mine.median(f"{kind} CPU"),
            "µs",
        ),
    ]


def _beside(mine: Target, other: Target) -> list[Row]:
    pairs = zip(mine.figures[f"{JSON} rate"], other.figures[f"{JSON} rate"], strict=True)
    multiple = median([a / b for a, b in pairs])
    return [
        fact(f"JSON, c={CONNECTIONS}: {other.name}", other.median(f"{JSON} rate"), "req/s"),
        at_least(f"JSON, c={CONNECTIONS}: Clary as a multiple of {other.name}", multiple, "x", 1),
        fact(f"JSON, c=1: {other.name}, p50", other.median(f"{JSON} p50"), "ms"),
    ]


def _warm_up(target: Target) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            for request in target.requests.values():
                load(target.address, [request], 1, 0.2)
        except (RuntimeError, OSError):  # its port is open before its model is loaded
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _compare(mine: Target, bare: Target) -> None:
    """A benchmark of wrong answers tells nothing."""
    for kind in BODIES:
        answers = [load(target.address, [target.requests[kind]]).sample.decode().strip() for target in (mine, bare)]
        if answers[0] != answers[1]:
            raise RuntimeError(f"{kind}: {answers}")


def _clary(stack: ExitStack, model: Path) -> tuple[Target, ClaryServer]:
    server = stack.enter_context(clary())
    _deploy(server, model)
    iam = server.client("iam")
    iam.create_user(UserName="caller")
    resource = f"arn:aws:sagemaker:us-east-1:*:endpoint/{ENDPOINT}"
    policy = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": policy})
    iam.put_user_policy(UserName="caller", PolicyName="call", PolicyDocument=document)
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    signer = Signer(("127.0.0.1", server.port), key["AccessKeyId"], key["SecretAccessKey"])
    path = f"/endpoints/{ENDPOINT}/invocations"
    requests = {
        kind: signer.request("sagemaker", "POST", path, {"Content-Type": kind, "Accept": kind}, body)
        for kind, body in BODIES.items()
    }
    assert server.process is not None
    return Target("Clary", signer.address, server.process.pid, requests), server


def _deploy(server: ClaryServer, model: Path) -> None:
    s3, iam, sagemaker = server.client("s3"), server.client("iam"), server.client("sagemaker")
    s3.create_bucket(Bucket="models")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(model, "model.joblib")
        script = tarfile.TarInfo("code/inference.py")
        script.size = len(SCRIPT)
        tar.addfile(script, io.BytesIO(SCRIPT))
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=archive.getvalue())
    role = iam.create_role(RoleName="serving", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="serving", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    container: dict[str, Any] = {
        "Image": IMAGE,
        "ModelDataUrl": "s3://models/model.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
    }
    sagemaker.create_model(ModelName=ENDPOINT, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "A", "ModelName": ENDPOINT, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def _boto3(server: ClaryServer) -> float:
    runtime = server.client("sagemaker-runtime")
    latencies = []
    for _ in range(200):
        started = time.perf_counter()
        answer = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType=CSV, Accept=CSV, Body=BODIES[CSV])
        answer["Body"].read()
        latencies.append((time.perf_counter() - started) * 1e3)
    return median(latencies)


def _bare(stack: ExitStack, name: str, model: Path) -> Target:
    port = free_port()
    command = ["-m", "uvicorn", "bare:app", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    environment = {"BENCH_MODEL": str(model), "PYTHONPATH": str(PEERS)}
    address, pid = stack.enter_context(peer("", command, port, environment))
    return Target(name, address, pid, {kind: _plain(address, "/", kind, body) for kind, body in BODIES.items()})


def _litserve(stack: ExitStack, model: Path) -> Target:
    port = free_port()
    command = [str(PEERS / "lit.py"), str(port)]
    address, pid = stack.enter_context(peer("litserve", command, port, {"BENCH_MODEL": str(model)}))
    body = json.dumps({"rows": [ROW]}).encode()
    return Target("LitServe", address, pid, {JSON: _plain(address, "/predict", JSON, body)})


def _mlserver(stack: ExitStack, folder: Path) -> Target:
    port = free_port()
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    implementation = {"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    (folder / "model-settings.json").write_text(json.dumps({"name": "lr", **implementation}))
    program = str(python("mlserver").with_name("mlserver"))
    address, pid = stack.enter_context(peer("mlserver", [program, "start", str(folder)], port))
    given = {"name": "rows", "shape": [1, FEATURES], "datatype": "FP64", "data": ROW}
    body = json.dumps({"inputs": [given]}).encode()
    return Target("MLServer", address, pid, {JSON: _plain(address, "/v2/models/lr/infer", JSON, body)})


def _plain(address: Address, path: str, kind: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
