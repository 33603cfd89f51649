"""The AWS CLI with a lot of data: a gigabyte there and back, and a tree kept in step."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

AWS = str(Path(sys.executable).with_name("aws"))
BUCKET = f"cli-s3-{uuid.uuid4().hex[:8]}"
BLOCK = os.urandom(1 << 20)
YESTERDAY = time.time() - 24 * 3600


def aws(*arguments: str) -> str:
    done = subprocess.run([AWS, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def gigabyte(folder: Path) -> None:
    source, back = folder / "gigabyte", folder / "back"
    with source.open("wb") as file:
        for number in range(1024):
            file.write(number.to_bytes(4, "big") + BLOCK[4:])
    aws("s3", "cp", "--no-progress", str(source), f"s3://{BUCKET}/gigabyte")
    aws("s3", "cp", "--no-progress", f"s3://{BUCKET}/gigabyte", str(back))
    assert digest(back) == digest(source)


def in_step(folder: Path) -> None:
    local = folder / "tree"
    for number in range(120):
        path = local / f"{number % 5}" / f"file {number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
        os.utime(path, (YESTERDAY, YESTERDAY))  # S3 tells whole seconds: what is as new as the object is copied again
    assert aws("s3", "sync", "--no-progress", str(local), f"s3://{BUCKET}/tree").count("upload:") == 120
    assert aws("s3", "sync", "--no-progress", str(local), f"s3://{BUCKET}/tree") == ""
    (local / "0" / "file 0.txt").unlink()
    (local / "1" / "file 1.txt").write_text("longer than before")
    changes = aws("s3", "sync", "--no-progress", "--delete", str(local), f"s3://{BUCKET}/tree").splitlines()
    assert sorted(line.split(":")[0] for line in changes) == ["delete", "upload"]
    aws("s3", "sync", "--no-progress", f"s3://{BUCKET}/tree", str(folder / "tree back"))
    assert not subprocess.run(["diff", "-r", str(local), str(folder / "tree back")], check=False).returncode


aws("s3", "mb", f"s3://{BUCKET}")
with tempfile.TemporaryDirectory() as temporary:
    in_step(Path(temporary))
    gigabyte(Path(temporary))
    link = aws("s3", "presign", f"s3://{BUCKET}/tree/1/file 1.txt").strip()
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"longer than before"
aws("s3", "rb", "--force", f"s3://{BUCKET}")
