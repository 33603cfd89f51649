"""Signed and authorised reads of the control plane beside moto, with few and with many records stored.

The principal is a user with a policy of its own. The 20,000 records are copies, made straight in the store, of one
model and one role that were created through the API.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3

from benchmarks.client import Run, load
from benchmarks.processes import cpu_seconds
from benchmarks.report import Row, at_least, at_most, fact, median
from benchmarks.servers import clary, free_port, peer
from benchmarks.signed import REGION, Signer
from clary.store.records import Query, Records
from clary.store.sqlite import SqliteDatabase

TITLE = "Control plane"
FEW, MANY = 10, 20_000
ROUNDS = 7
CONNECTIONS = 8
WINDOW_S = 0.6
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "sagemaker:DescribeModel", "Resource": "arn:aws:sagemaker:*:*:model/model-*"},
        {"Effect": "Allow", "Action": ["sagemaker:ListModels", "iam:GetRole"], "Resource": "*"},
    ],
}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


@dataclass(frozen=True)
class Target:
    """A server with models and roles in it, and a key that may read them."""

    name: str
    signer: Signer
    pid: int

    @property
    def calls(self) -> dict[str, bytes]:
        return {
            "DescribeModel": self.signer.json("SageMaker.DescribeModel", b'{"ModelName":"model-5"}'),
            "GetRole": self.signer.form("iam", b"Action=GetRole&Version=2010-05-08&RoleName=role-5"),
        }

    def run(self, request: bytes, connections: int = CONNECTIONS) -> tuple[Run, float]:
        """One window of load, and the microseconds of the server's processors for each call."""
        before = cpu_seconds(self.pid)
        run = load(self.signer.address, [request], connections, WINDOW_S)
        return run, (cpu_seconds(self.pid) - before) / len(run.latencies) * 1e6


def measure() -> list[Row]:
    """Interleaved rounds against moto and three platforms; two of them are the same, which tells the noise."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="clary-bench-")))
        targets = [_moto(stack)]
        for name, count in (("few", FEW), ("few again", FEW), ("many", MANY)):
            targets.append(_clary(stack, name, folder / name.replace(" ", "-"), count))
        seen: dict[tuple[str, str], list[tuple[Run, float]]] = {}
        for turn in range(ROUNDS):
            for target in targets[turn % 4 :] + targets[: turn % 4]:
                for operation, request in target.calls.items():
                    seen.setdefault((operation, target.name), []).append(target.run(request))
        rows = [row for operation in ("DescribeModel", "GetRole") for row in _rows(operation, seen)]
        return rows + _listing(targets[-1])


def _rows(operation: str, seen: dict[tuple[str, str], list[tuple[Run, float]]]) -> list[Row]:
    def ratio(one: str, other: str, what: int) -> float:
        pairs = zip(seen[operation, one], seen[operation, other], strict=True)
        return median([(a[0].rate / b[0].rate) if what == 0 else (a[1] / b[1]) for a, b in pairs])

    def rate(name: str) -> float:
        return median([run.rate for run, _ in seen[operation, name]])

    def cpu(name: str) -> float:
        return median([microseconds for _, microseconds in seen[operation, name]])

    return [
        fact(f"{operation}: moto, {FEW} stored, c={CONNECTIONS}", rate("moto"), "req/s"),
        fact(f"{operation}: Clary, {FEW} stored, c={CONNECTIONS}", rate("few"), "req/s"),
        fact(f"{operation}: Clary, {MANY:,} stored, c={CONNECTIONS}", rate("many"), "req/s"),
        at_least(f"{operation}: rate as a multiple of moto's", ratio("few", "moto", 0), "x", 10),
        fact(f"{operation}: CPU of a call, moto", cpu("moto"), "µs"),
        fact(f"{operation}: CPU of a call, Clary", cpu("few"), "µs"),
        at_most(f"{operation}: CPU as a share of moto's", ratio("few", "moto", 1), "x", 0.1),
        fact(f"{operation}: A/A control, CPU of the same twice", ratio("few again", "few", 1), "x"),
        at_most(f"{operation}: CPU with {MANY:,} stored over {FEW}", ratio("many", "few", 1), "x", 1.2),
    ]


def _listing(target: Target) -> list[Row]:
    request = target.signer.json("SageMaker.ListModels", b'{"MaxResults":100}')
    runs = [target.run(request, 1) for _ in range(ROUNDS)]
    return [
        at_most(f"ListModels(100) at {MANY:,} stored, c=1, p50", median([run.p50 for run, _ in runs]), "ms", 5),
        fact("... CPU of a call", median([cpu for _, cpu in runs]), "µs"),
    ]


def _moto(stack: ExitStack) -> Target:
    port = free_port()
    address, pid = stack.enter_context(peer("moto", ["-m", "moto.server", "-p", str(port)], port))
    signer = Signer(address, "key", "secret")
    sagemaker, iam = (
        boto3.client(
            name,
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name=REGION,
            aws_access_key_id=signer.access_key,
            aws_secret_access_key=signer.secret,
        )
        for name in ("sagemaker", "iam")
    )
    for number in range(FEW):
        arn = iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        sagemaker.create_model(ModelName=f"model-{number}", ExecutionRoleArn=arn, PrimaryContainer={"Image": IMAGE})
    return Target("moto", signer, pid)


def _clary(stack: ExitStack, name: str, home: Path, count: int) -> Target:
    with clary(home, CLARY_WARM_WORKERS="0") as server:
        iam = server.client("iam")
        arn = iam.create_role(RoleName="role-0", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        server.client("sagemaker").create_model(
            ModelName="model-0", ExecutionRoleArn=arn, PrimaryContainer={"Image": IMAGE}
        )
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="reader")["AccessKey"]
    _multiply(home / "clary.db", count)
    server = stack.enter_context(clary(home, CLARY_WARM_WORKERS="0"))
    assert server.process is not None
    signer = Signer(("127.0.0.1", server.port), key["AccessKeyId"], key["SecretAccessKey"])
    return Target(name, signer, server.process.pid)


def _multiply(path: Path, count: int) -> None:
    """Makes `count` models and roles of the one that is there of each."""
    database = SqliteDatabase(path)
    records = Records(database)
    with database.write():
        for kind, region in (("model", REGION), ("role", "")):
            query = Query(kind, "000000000000", region, name_prefix=f"{kind}-0")
            original = records.list(query)[0]
            for number in range(1, count):
                name = f"{kind}-{number}"
                arn = original.arn.replace(original.name, name)
                records.create(replace(original, id=0, name=name, arn=arn))
    database.sync()
    database.close()
