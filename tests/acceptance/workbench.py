"""What a user of the platform has at hand: a bucket, a role and plain boto3."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.server import ClaryServer

Found = TypeVar("Found")
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
RUNNING = frozenset({"InProgress", "Stopping", "Creating", "Updating", "Deleting", "RollingBack"})
SAGEMAKER_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


def allow(actions: str | list[str], resources: str | list[str] = "*") -> str:
    """A policy of one statement."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A tar.gz of some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def unique(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def until(look: Callable[[], Found | None], timeout_s: float = 60, every_s: float = 0.05) -> Found:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(every_s)
    raise AssertionError(f"nothing after {timeout_s} s")


class Workbench:
    """Makes what a test needs on one server, as root, and waits for it."""

    def __init__(self, server: ClaryServer) -> None:
        self.server = server
        self.sagemaker, self.s3, self.iam = (server.client(name) for name in ("sagemaker", "s3", "iam"))
        self.logs, self.runtime = server.client("logs"), server.client("sagemaker-runtime")
        self.bucket = unique("bench")
        self.s3.create_bucket(Bucket=self.bucket)
        self.role = self.new_role(allow("s3:*"))

    def new_role(self, policy: str) -> str:
        """The ARN of a role that SageMaker may assume."""
        name = unique("role")
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(SAGEMAKER_TRUST))["Role"]["Arn"]
        self.iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=policy)
        return str(arn)

    def put(self, key: str, content: str | bytes) -> str:
        """Stores an object and tells its address."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return self.uri(key)

    def uri(self, key: str) -> str:
        """The address of a key."""
        return f"s3://{self.bucket}/{key}"

    def request(self, script: str, **options: Any) -> dict[str, Any]:
        """A CreateTrainingJob request that runs a script in the scikit-learn image."""
        name = unique("job")
        source = self.put(f"code/{name}.tar.gz", archive({"train.py": script}))
        return {
            "TrainingJobName": name,
            "RoleArn": self.role,
            "AlgorithmSpecification": {"TrainingImage": SKLEARN, "TrainingInputMode": "File"},
            "HyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": source},
            "OutputDataConfig": {"S3OutputPath": self.uri("models")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **options,
        }

    def train(self, script: str, **options: Any) -> str:
        """Begins a training job; tells its name."""
        request = self.request(script, **options)
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def trained(self, name: str, timeout_s: float = 90) -> dict[str, Any]:
        """The description of a training job that has ended."""
        return until(lambda: ended(self.describe(name), "TrainingJobStatus"), timeout_s)

    def describe(self, name: str) -> dict[str, Any]:
        """The description of a training job."""
        described: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return described

    def model(self, files: Mapping[str, str | bytes], **environment: str) -> str:
        """A model of the scikit-learn image with these files in its artefact; tells its name."""
        name = unique("model")
        container = {
            "Image": SKLEARN,
            "ModelDataUrl": self.put(f"{name}/model.tar.gz", archive(files)),
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
        }
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=self.role)
        return name

    def endpoint(self, model: str, **variant: Any) -> str:
        """Begins an endpoint of one model; tells its name, which its configuration has too."""
        name = unique("endpoint")
        self.config(name, model, **variant)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return name

    def config(self, name: str, model: str, **variant: Any) -> None:
        """An endpoint configuration of one variant."""
        defaults = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**defaults, "ModelName": model, **variant}]
        )

    def settled(self, name: str, timeout_s: float = 60) -> dict[str, Any]:
        """The description of an endpoint that is neither being made nor changed."""
        return until(lambda: ended(self.sagemaker.describe_endpoint(EndpointName=name), "EndpointStatus"), timeout_s)

    def ask(self, endpoint: str, body: bytes | str, content_type: str = "text/csv") -> str:
        """The answer of an endpoint."""
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type)
        return str(answer["Body"].read().decode())

    def log(self, name: str, group: str = "/aws/sagemaker/TrainingJobs") -> list[str]:
        """Every line that a job has told so far; there is one stream at most."""
        try:
            streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        if not streams:
            return []
        assert len(streams) == 1
        where = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "startFromHead": True}
        lines: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self.logs.get_log_events(**where, **token)
            if not page["events"]:
                return lines
            lines += [event["message"] for event in page["events"]]
            token = {"nextToken": page["nextForwardToken"]}


def ended(description: dict[str, Any], member: str) -> dict[str, Any] | None:
    """The description, if its status will not change by itself."""
    return None if description[member] in RUNNING else description
