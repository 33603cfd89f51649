"""From CreateTrainingJob to the first line of the user's script, and to Completed.

The script prints the time into its log; all clocks are this machine's.
Times begin before the call is signed and sent by boto3.
"""

from __future__ import annotations

import io
import tarfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks.control_plane import IMAGE, TRUST
from benchmarks.report import Row, at_most, fact, median
from benchmarks.servers import clary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.server import ClaryServer

TITLE = "Job start"
RUNS, COLD_RUNS = 21, 7
IMPORTS = {"standard": b"", "science": b"import pandas, sklearn.linear_model, xgboost\n"}
SCRIPT = b"import time\n%sprint(f'begun={time.time()};', flush=True)\n"
SETTLE_S = 12.0
"""Until the warm interpreter has imported its libraries."""
DEFAULTS: dict[str, Any] = {
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
}
_UNDER_WAY = "InProgress"


class Jobs:
    """Runs scripts, `standard` and `science` and others by name, as training jobs of one platform."""

    def __init__(self, server: ClaryServer, others: Mapping[str, bytes] | None = None) -> None:
        self._sagemaker, s3, iam = (server.client(name) for name in ("sagemaker", "s3", "iam"))
        self._logs = server.client("logs")
        self._count = 0
        s3.create_bucket(Bucket="jobs")
        scripts = {name: SCRIPT % imports for name, imports in IMPORTS.items()} | dict(others or {})
        for name, script in scripts.items():
            s3.put_object(Bucket="jobs", Key=f"{name}.tar.gz", Body=_archive(script))
        self._role: str = iam.create_role(RoleName="training", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.attach_role_policy(RoleName="training", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")

    def run(self, script: str) -> tuple[float, float]:
        """The seconds to the script's first line after its imports, and to Completed."""
        started = time.time()
        name = self.create(script)
        self.wait(name)
        ended = time.time()
        return self.told(name, "begun") - started, ended - started

    def create(self, script: str, **options: Any) -> str:
        """The name of a job that runs a script; `options` are members of the request."""
        self._count += 1
        name = f"{script}-{self._count}"
        submitted = {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://jobs/{script}.tar.gz",
            "sagemaker_region": "us-east-1",
        }
        self._sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=self._role,
            HyperParameters=submitted,
            OutputDataConfig={"S3OutputPath": "s3://jobs/out"},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            **{**DEFAULTS, **options},
        )
        return name

    def wait(self, name: str, every_s: float = 0.01) -> None:
        """Until a job is Completed."""
        while (job := self._sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == _UNDER_WAY:
            time.sleep(every_s)
        if job["TrainingJobStatus"] != "Completed":
            raise RuntimeError(f"{name}: {job.get('FailureReason')}")

    def told(self, name: str, what: str) -> float:
        """The number that a job has printed as `WHAT=NUMBER;`."""
        group = "/aws/sagemaker/TrainingJobs"
        found: dict[str, Any] = {}
        for _ in range(100):
            found = self._logs.filter_log_events(
                logGroupName=group, logStreamNamePrefix=f"{name}/", filterPattern=f'"{what}="'
            )
            if found["events"]:
                return float(found["events"][0]["message"].partition(f"{what}=")[2].partition(";")[0])
            time.sleep(0.05)
        raise RuntimeError(f"{name} printed nothing")


def measure() -> list[Row]:
    """With a warm interpreter as by default, and without one."""
    with clary() as server:
        jobs = Jobs(server)
        time.sleep(SETTLE_S)
        warm = _runs(jobs, RUNS)
    with clary(CLARY_WARM_WORKERS="0") as server:
        cold = _runs(Jobs(server), COLD_RUNS)
    firsts = {name: sorted(first for first, _ in runs) for name, runs in warm.items()}
    standard, science = firsts["standard"], firsts["science"]
    return [
        at_most(f"first line, standard library only, median of {RUNS}", median(standard), "s", 0.3),
        fact("... slowest", standard[-1], "s"),
        at_most(f"first line after pandas, scikit-learn and xgboost, median of {RUNS}", median(science), "s", 0.3),
        fact("... slowest", science[-1], "s"),
        fact("Completed, standard library only, median", median([end for _, end in warm["standard"]]), "s"),
        fact("Completed, with the imports, median", median([end for _, end in warm["science"]]), "s"),
        *_cold(cold),
    ]


def _cold(cold: dict[str, list[tuple[float, float]]]) -> list[Row]:
    rows = []
    for name, text in (("standard", "standard library only"), ("science", "after the imports")):
        rows.append(fact(f"without warm interpreter: first line, {text}", median([f for f, _ in cold[name]]), "s"))
        rows.append(fact(f"without warm interpreter: Completed, {text}", median([e for _, e in cold[name]]), "s"))
    return rows


def _runs(jobs: Jobs, count: int) -> dict[str, list[tuple[float, float]]]:
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORTS}
    for _ in range(count):
        for name, seen in runs.items():
            seen.append(jobs.run(name))
    return runs


def _archive(script: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(script)
        tar.addfile(member, io.BytesIO(script))
    return buffer.getvalue()
