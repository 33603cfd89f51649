"""The AWS CLI: what a learner types."""

import json
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import boto3

AWS = str(Path(sys.executable).with_name("aws"))
BUCKET = f"cli-{uuid.uuid4().hex[:10]}"
folder = Path(tempfile.mkdtemp())


def aws(*arguments, fails=False):
    done = subprocess.run([AWS, *arguments], capture_output=True, text=True, check=False)
    assert bool(done.returncode) == fails, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stderr if fails else done.stdout


def answer(*arguments):
    return json.loads(aws(*arguments, "--output", "json"))


assert answer("sts", "get-caller-identity")["Arn"] == "arn:aws:iam::000000000000:root"
aws("s3", "mb", f"s3://{BUCKET}")
for name, size in (("a.txt", 10), ("sub/b.bin", 9 << 20)):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x" * size)
aws("s3", "sync", str(folder), f"s3://{BUCKET}/copy/")
assert "sub/b.bin" in aws("s3", "ls", "--recursive", f"s3://{BUCKET}/copy/")
assert "PRE copy/" in aws("s3", "ls", f"s3://{BUCKET}")
aws("s3", "cp", f"s3://{BUCKET}/copy/sub/b.bin", str(folder / "back.bin"))
assert (folder / "back.bin").read_bytes() == (folder / "sub" / "b.bin").read_bytes()
assert aws("s3", "cp", f"s3://{BUCKET}/copy/a.txt", "-") == "x" * 10
aws("s3", "mv", f"s3://{BUCKET}/copy/a.txt", f"s3://{BUCKET}/moved.txt")
assert "BucketNotEmpty" in aws("s3", "rb", f"s3://{BUCKET}", fails=True)
link = aws("s3", "presign", f"s3://{BUCKET}/moved.txt").strip()
assert link.startswith("http://127.0.0.1:")
assert "Not Found" in aws("s3api", "head-object", "--bucket", BUCKET, "--key", "none", fails=True)
aws("s3", "rb", "--force", f"s3://{BUCKET}")
assert BUCKET not in aws("s3", "ls")

for command in ("models", "endpoints", "endpoint-configs", "training-jobs", "processing-jobs", "transform-jobs",
                "hyper-parameter-tuning-jobs", "notebook-instances", "monitoring-schedules"):  # fmt: skip
    assert isinstance(answer("sagemaker", f"list-{command}", "--max-items", "3"), dict), command
user = f"cli-{uuid.uuid4().hex[:8]}"
aws("iam", "create-user", "--user-name", user, "--tags", "Key=team,Value=x")
assert answer("iam", "get-user", "--user-name", user)["User"]["UserName"] == user
assert "NoSuchEntity" in aws("iam", "get-user", "--user-name", "nobody-at-all", fails=True)
aws("iam", "delete-user", "--user-name", user)
assert isinstance(answer("ec2", "describe-instances")["Reservations"], list)
assert answer("ec2", "describe-instance-types", "--instance-types", "m5.large")["InstanceTypes"][0]["VCpuInfo"]

group, logs = f"/cli/{user}", boto3.client("logs")
aws("logs", "create-log-group", "--log-group-name", group)
aws("logs", "create-log-stream", "--log-group-name", group, "--log-stream-name", "s")
events = [{"timestamp": time.time_ns() // 1_000_000, "message": f"line {number}"} for number in range(3)]
aws("logs", "put-log-events", "--log-group-name", group, "--log-stream-name", "s", "--log-events", json.dumps(events))
told = logs.filter_log_events(logGroupName=group)["events"]
assert [event["message"] for event in told] == ["line 0", "line 1", "line 2"]
filtered = answer("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", '"line 1"')
assert [event["message"] for event in filtered["events"]] == ["line 1"]
aws("logs", "delete-log-group", "--log-group-name", group)
