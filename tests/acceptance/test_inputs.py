"""How data come to jobs, with every mode that a channel can have, against a real server."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.acceptance.workbench import allow, ended, unique, until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.acceptance.workbench import Workbench

MIB = 1 << 20
TREE = """
import hashlib, os
root = "/opt/ml/input/data/train"
for folder, _, names in sorted(os.walk(root)):
    for name in sorted(names):
        path = os.path.join(folder, name)
        print("FOUND", os.path.relpath(path, root), hashlib.md5(open(path, "rb").read()).hexdigest())
"""
EPOCHS = """
import hashlib, os
for epoch in range(2):
    data = open(f"/opt/ml/input/data/train_{epoch}", "rb").read()
    open(f"/opt/ml/model/{epoch}", "wb").write(data)
    print("EPOCH", epoch, len(data), hashlib.md5(data).hexdigest())
"""


def channel(uri: str, mode: str = "File", data_type: str = "S3Prefix", **options: Any) -> list[dict[str, Any]]:
    s3 = {name: options.pop(name) for name in ("AttributeNames", "S3DataDistributionType") if name in options}
    source: dict[str, Any] = {"S3DataSource": {"S3DataType": data_type, "S3Uri": uri, **s3}}
    return [{"ChannelName": "train", "DataSource": source, "InputMode": mode, **options}]


def run(bench: Workbench, script: str, channels: Sequence[dict[str, Any]], word: str) -> list[str]:
    """What a job says behind a word at the begin of a line, which must succeed."""
    name = bench.train(script, InputDataConfig=channels)
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), bench.log(name)[-20:])
    return [line.partition(" ")[2] for line in bench.log(name) if line.startswith(f"{word} ")]


def fail(bench: Workbench, channels: Sequence[dict[str, Any]], script: str = "", **options: Any) -> str:
    job = bench.trained(bench.train(script, InputDataConfig=channels, **options))
    assert job["TrainingJobStatus"] == "Failed"
    reason: str = job["FailureReason"]
    return reason


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def in_parts(bench: Workbench, folder: Path, key: str, size: int) -> bytes:
    """Stores an object in several parts, as the clients of AWS do with all that is large."""
    content = os.urandom(size)
    (folder / "upload").write_bytes(content)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    bench.s3.upload_file(str(folder / "upload"), bench.bucket, key, Config=config)
    return content


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_objects_however_they_are_stored_are_files(bench: Workbench, tmp_path: Path, mode: str) -> None:
    prefix = unique("data")
    contents = {"row": b"a,b\n1,2\n", "empty": b"", "below/one file": os.urandom(MIB)}
    for name, content in contents.items():
        bench.put(f"{prefix}/{name}", content)
    contents["below/in parts"] = in_parts(bench, tmp_path, f"{prefix}/below/in parts", 12 * MIB + 7)
    found = run(bench, TREE, channel(bench.uri(f"{prefix}/"), mode), "FOUND")
    assert sorted(found) == sorted(f"{name} {md5(content)}" for name, content in contents.items())


def test_a_script_that_writes_into_its_channel_changes_no_object(bench: Workbench, tmp_path: Path) -> None:
    prefix = unique("data")
    contents = {"row": b"row", "file": os.urandom(MIB), "parts": in_parts(bench, tmp_path, f"{prefix}/parts", 6 * MIB)}
    for name in ("row", "file"):
        bench.put(f"{prefix}/{name}", contents[name])
    script = """
import os
root = "/opt/ml/input/data/train/"
for name in ("row", "file", "parts"):
    os.chmod(root + name, 0o777)
    with open(root + name, "r+b") as file:
        file.write(b"changed")
    print("NOW", open(root + name, "rb").read(7).decode())
os.remove(root + "file")
open(root + "new", "w").write("new")
print("NOW", *sorted(os.listdir(root)))
"""
    assert run(bench, script, channel(bench.uri(f"{prefix}/")), "NOW") == ["changed"] * 3 + ["new parts row"]
    for name, content in contents.items():
        assert bench.s3.get_object(Bucket=bench.bucket, Key=f"{prefix}/{name}")["Body"].read() == content


def test_a_fast_file_channel_is_read_only(bench: Workbench) -> None:
    uri = bench.put(f"{unique('data')}/row", "row")
    script = """
import errno
try:
    open("/opt/ml/input/data/train/row", "w")
except OSError as error:
    print("REFUSED", errno.errorcode[error.errno])
"""
    assert run(bench, script, channel(uri, "FastFile"), "REFUSED") == ["EROFS"]


def test_objects_that_are_deleted_while_the_job_runs_stay_in_its_channel(bench: Workbench, tmp_path: Path) -> None:
    prefix = unique("data")
    contents = {"file": os.urandom(MIB), "parts": in_parts(bench, tmp_path, f"{prefix}/parts", 11 * MIB)}
    bench.put(f"{prefix}/file", contents["file"])
    script = f"""
import time
import boto3
s3 = boto3.client("s3")
print("READY", flush=True)
while s3.list_objects_v2(Bucket={bench.bucket!r}, Prefix={prefix!r})["KeyCount"]:
    time.sleep(0.05)
{TREE}
"""
    name = bench.train(script, InputDataConfig=channel(bench.uri(f"{prefix}/")))
    until(lambda: "READY" in bench.log(name))
    for key in contents:
        bench.s3.delete_object(Bucket=bench.bucket, Key=f"{prefix}/{key}")
    assert bench.trained(name)["TrainingJobStatus"] == "Completed"
    found = sorted(line for line in bench.log(name) if line.startswith("FOUND "))
    assert found == sorted(f"FOUND {key} {md5(content)}" for key, content in contents.items())


def test_thousands_of_small_files(bench: Workbench) -> None:
    prefix = unique("data")
    for number in range(400):
        bench.put(f"{prefix}/{number % 7}/{number}.txt", f"content of {number}")
    found = run(bench, TREE, channel(bench.uri(f"{prefix}/")), "FOUND")
    expected = {f"{number % 7}/{number}.txt {md5(f'content of {number}'.encode())}" for number in range(400)}
    assert set(found) == expected


def test_pipes_begin_anew_in_every_epoch(bench: Workbench, tmp_path: Path) -> None:
    prefix = unique("data")
    parts = in_parts(bench, tmp_path, f"{prefix}/2", 6 * MIB)
    one = os.urandom(MIB)
    bench.put(f"{prefix}/0", "row\n")
    bench.put(f"{prefix}/1", one)
    whole = b"row\n" + one + parts
    epochs = run(bench, EPOCHS, channel(bench.uri(f"{prefix}/"), "Pipe"), "EPOCH")
    assert epochs == [f"{epoch} {len(whole)} {md5(whole)}" for epoch in (0, 1)]


def test_pipes_with_envelopes_shuffled_and_decompressed(bench: Workbench) -> None:
    prefix = unique("data")
    contents = [f"object {number}".encode() * (number + 1) for number in range(20)]
    for number, content in enumerate(contents):
        bench.put(f"{prefix}/{number:02}", gzip.compress(content))
    script = """
import struct
for epoch in range(2):
    data, order = open(f"/opt/ml/input/data/train_{epoch}", "rb").read(), []
    while data:
        magic, length = struct.unpack("<II", data[:8])
        assert magic == 0xCED7230A
        order.append(int(data[8:8 + length].split()[1].decode().removesuffix("object")))
        data = data[8 + (length + 3) // 4 * 4:]
    print("ORDER", *order)
"""
    options: dict[str, Any] = {"RecordWrapperType": "RecordIO", "ShuffleConfig": {"Seed": 7}, "CompressionType": "Gzip"}
    first, second = run(bench, script, channel(bench.uri(f"{prefix}/"), "Pipe", **options), "ORDER")
    assert first != second
    for order in (first, second):
        assert sorted(map(int, order.split())) == list(range(20))
        assert order != " ".join(map(str, range(20)))


def test_an_augmented_manifest_is_streamed_attribute_by_attribute(bench: Workbench) -> None:
    prefix = unique("data")
    lines = []
    for number in range(3):
        uri = bench.put(f"{prefix}/image-{number}", f"image {number}")
        lines.append(json.dumps({"source-ref": uri, "label": number, "meta": {"a": 1}, "text": "words"}))
    manifest = bench.put(f"{prefix}.manifest", "\n".join(lines) + "\n")
    chosen = channel(
        manifest,
        "Pipe",
        "AugmentedManifestFile",
        AttributeNames=["source-ref", "label", "text"],
        RecordWrapperType="RecordIO",
    )
    script = EPOCHS + "print('HEX', data.hex())"
    (found,) = run(bench, script, chosen, "HEX")
    expected = b""
    for number in range(3):
        for content in (f"image {number}".encode(), str(number).encode(), b"words"):
            expected += struct.pack("<II", 0xCED7230A, len(content)) + content + bytes(-len(content) % 4)
    assert bytes.fromhex(found) == expected


@pytest.mark.parametrize(
    "script",
    [
        "print('DONE never opened')",
        "open('/opt/ml/input/data/train_0', 'rb').read(10); print('DONE closed early')",
        "import os; os.remove('/opt/ml/input/data/train_0'); print('DONE removed')",
    ],
)
def test_a_pipe_that_is_not_read_to_its_end_does_not_hold_the_job_up(bench: Workbench, script: str) -> None:
    uri = bench.put(f"{unique('data')}/file", os.urandom(MIB))
    assert run(bench, script, channel(uri, "Pipe"), "DONE")


def test_a_manifest_names_the_files(bench: Workbench) -> None:
    prefix = unique("data")
    for name in ("a", "b/c", "not named"):
        bench.put(f"{prefix}/{name}", name)
    manifest = bench.put(f"{prefix}.json", json.dumps([{"prefix": bench.uri(f"{prefix}/")}, "a", "b/c"]))
    found = run(bench, TREE, channel(manifest, data_type="ManifestFile"), "FOUND")
    assert found == [f"a {md5(b'a')}", f"b/c {md5(b'b/c')}"]


def test_compressed_objects_are_files_decompressed(bench: Workbench) -> None:
    uri = bench.put(f"{unique('data')}/a", gzip.compress(b"plain"))
    assert run(bench, TREE, channel(uri, CompressionType="Gzip"), "FOUND") == [f"a {md5(b'plain')}"]


def test_each_host_of_a_cluster_gets_its_shard(bench: Workbench) -> None:
    prefix = unique("data")
    for number in range(5):
        bench.put(f"{prefix}/{number}", str(number))
    channels = channel(bench.uri(f"{prefix}/"), S3DataDistributionType="ShardedByS3Key")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    script = "import os; open('/opt/ml/model/' + ' '.join(sorted(os.listdir('/opt/ml/input/data/train'))), 'w')"
    name = bench.train(script, InputDataConfig=channels, ResourceConfig=resources)
    job = bench.trained(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = job["ModelArtifacts"]["S3ModelArtifacts"].partition(f"{bench.bucket}/")[2]
    packed = gzip.decompress(bench.s3.get_object(Bucket=bench.bucket, Key=model)["Body"].read())
    assert b"0 2 4" in packed
    assert b"1 3" in packed


def test_inputs_of_processing_jobs_are_linked_and_streamed_too(bench: Workbench, tmp_path: Path) -> None:
    prefix = unique("data")
    content = in_parts(bench, tmp_path, f"{prefix}/a/parts", 6 * MIB)
    code = bench.put(
        f"{prefix}/code.py",
        """
import hashlib
for path in ("a/parts", "b_0"):
    data = open("/opt/ml/processing/input/" + path, "rb").read()
    open("/opt/ml/processing/output/" + path[0], "w").write(hashlib.md5(data).hexdigest())
""",
    )

    def given(name: str, uri: str, mode: str = "File") -> dict[str, Any]:
        local = f"/opt/ml/processing/input/{name}"
        s3 = {"S3Uri": uri, "LocalPath": local, "S3DataType": "S3Prefix", "S3InputMode": mode}
        return {"InputName": name, "S3Input": s3}

    name = unique("job")
    local = "/opt/ml/processing/output"
    bench.sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=bench.role,
        AppSpecification={
            "ImageUri": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/code.py"],
        },
        ProcessingInputs=[
            given("a", bench.uri(f"{prefix}/a/")),
            given("b", bench.uri(f"{prefix}/a/"), "Pipe"),
            given("code", code),
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "o",
                    "S3Output": {"S3Uri": bench.uri(f"{prefix}/out"), "LocalPath": local, "S3UploadMode": "EndOfJob"},
                }
            ]
        },
        ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
    )
    job = until(
        lambda: ended(bench.sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus"), 60
    )
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    for letter in "ab":
        found = bench.s3.get_object(Bucket=bench.bucket, Key=f"{prefix}/out/{letter}")["Body"].read()
        assert found.decode() == md5(content)


def killed(_: Workbench, __: str, agent: int) -> None:
    os.kill(agent, signal.SIGKILL)


def stopped(bench: Workbench, name: str, _: int) -> None:
    bench.sagemaker.stop_training_job(TrainingJobName=name)


def finished(bench: Workbench, name: str, _: int) -> None:
    bench.put(f"go/{name}", "")


@pytest.mark.parametrize(
    ("end", "status"),
    [(killed, "Failed"), (stopped, "Stopped"), (finished, "Completed")],
    ids=["killed", "stopped", "finished"],
)
def test_nothing_is_left_of_inputs_after_the_job(
    bench: Workbench, tmp_path: Path, end: Callable[[Workbench, str, int], None], status: str
) -> None:
    prefix = unique("data")
    in_parts(bench, tmp_path, f"{prefix}/parts", 6 * MIB)
    channels = channel(bench.uri(f"{prefix}/"))
    channels += [{**channel(bench.uri(f"{prefix}/"), "Pipe")[0], "ChannelName": "piped"}]
    script = f"""
import os, time
import boto3
s3 = boto3.client("s3")
held = open("/opt/ml/input/data/train/parts", "rb").read(10)
piped = open("/opt/ml/input/data/piped_0", "rb").read(10)
print("READY", flush=True)
while not s3.list_objects_v2(Bucket={bench.bucket!r}, Prefix="go/" + os.environ["TRAINING_JOB_NAME"])["KeyCount"]:
    time.sleep(0.05)
"""
    name = bench.train(script, InputDataConfig=channels)
    until(lambda: "READY" in bench.log(name))
    bundle = next((bench.server.home / "workloads").glob(f"*/*/*/{name}/*/algo-1"))
    agent = json.loads((bundle / "status.json").read_text())["pid"]
    children = _descendants(agent)
    # The first process of the sandbox with the script, two that serve files and one that feeds the pipe.
    assert len(children) >= 5
    end(bench, name, agent)
    until(lambda: not [child for child in children if _lives(child)])
    assert bench.trained(name)["TrainingJobStatus"] == status
    until(lambda: not bundle.exists())
    assert str(bundle) not in Path("/proc/self/mountinfo").read_text()


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in _descendants(child)]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("keys", "options", "reason"),
    [
        ({}, {}, "No S3 objects found under S3 URL"),
        ({"a": "no gzip"}, {"CompressionType": "Gzip"}, "is no gzip file"),
        ({"a": "no gzip"}, {"CompressionType": "Gzip", "mode": "Pipe"}, "is no gzip file"),
        ({"a": "x", "a/b": "x"}, {}, "is both a file and a folder"),
        ({"a//b": "x"}, {}, "has an illegal char sub-sequence '//' in it"),
        ({"a": "x"}, {"data_type": "ManifestFile"}, "The manifest"),
        ({"a": "x"}, {"data_type": "AugmentedManifestFile", "AttributeNames": ["x"]}, "only be used with the input"),
        (
            {"a": "x"},
            {"data_type": "AugmentedManifestFile", "mode": "Pipe", "AttributeNames": ["x"]},
            "Line 1 of the augmented manifest",
        ),
    ],
)
def test_failure_reasons(bench: Workbench, keys: dict[str, str], options: dict[str, Any], reason: str) -> None:
    prefix = unique("data")
    for key, content in keys.items():
        bench.put(f"{prefix}/{key}", content)
    uri = bench.uri(f"{prefix}/a" if "data_type" in options else f"{prefix}/")
    told = fail(bench, channel(uri, **options), "open('/opt/ml/input/data/train_0', 'rb').read()")
    assert told.startswith("ClientError: ")
    assert reason in told


def test_a_role_that_may_not_read(bench: Workbench) -> None:
    uri = bench.put(f"{unique('data')}/a", "x")
    code = f"arn:aws:s3:::{bench.bucket}/code/*"
    role = bench.new_role(
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": code},
                    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"},
                ],
            }
        )
    )
    told = fail(bench, channel(uri), RoleArn=role)
    assert told.startswith(f"ClientError: Data download failed:Unable to download object {uri} (AccessDenied: ")
    blind = bench.new_role(allow("s3:GetObject"))
    assert "s3:ListBucket" in fail(bench, channel(uri), RoleArn=blind)
