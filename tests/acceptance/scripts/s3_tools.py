"""Programs that copy to and from S3: rclone, s5cmd."""

import hashlib
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

TOOLS = Path(sys.executable).parent
BUCKET = f"s3-tools-{uuid.uuid4().hex[:8]}"
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
RCLONE = {
    "RCLONE_CONFIG": "/dev/null",
    "RCLONE_CONFIG_CLARY_TYPE": "s3",
    "RCLONE_CONFIG_CLARY_PROVIDER": "Other",
    "RCLONE_CONFIG_CLARY_ENV_AUTH": "true",
    "RCLONE_CONFIG_CLARY_ENDPOINT": ENDPOINT,
    "RCLONE_CONFIG_CLARY_REGION": "us-east-1",
    "RCLONE_CONFIG_CLARY_FORCE_PATH_STYLE": "true",
}
SIZES = {"empty": 0, "small": 10, "sub folder/ü+&.txt": 5000, "deep/er/large.bin": 24 << 20, "a#b?c%41": 7}


def run(program: str, *arguments: str) -> bytes:
    environment = {**os.environ, **RCLONE}
    done = subprocess.run([str(TOOLS / program), *arguments], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, (program, arguments, done.stdout[:2000], done.stderr[-2000:])
    return done.stdout


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def source(folder: Path) -> Path:
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(size))
    for number in range(200):
        (folder / f"many/{number:03d}").parent.mkdir(exist_ok=True)
        (folder / f"many/{number:03d}").write_bytes(os.urandom(1000))
    return folder


def rclone_works(local: Path, back: Path) -> None:
    run("rclone", "mkdir", f"clary:{BUCKET}")
    run("rclone", "sync", "--s3-chunk-size", "5M", "--s3-upload-cutoff", "5M", str(local), f"clary:{BUCKET}/rclone")
    assert run("rclone", "check", "--one-way", str(local), f"clary:{BUCKET}/rclone") == b""
    run("rclone", "copy", f"clary:{BUCKET}/rclone", str(back / "rclone"))
    assert tree(back / "rclone") == tree(local)
    run("rclone", "copyto", f"clary:{BUCKET}/rclone/small", f"clary:{BUCKET}/other")
    assert run("rclone", "cat", f"clary:{BUCKET}/other") == run("rclone", "cat", f"clary:{BUCKET}/rclone/small")
    assert run("rclone", "lsf", "-R", "--files-only", f"clary:{BUCKET}/rclone").count(b"\n") == len(tree(local))
    run("rclone", "purge", f"clary:{BUCKET}/rclone")


def s5cmd_works(local: Path, back: Path) -> None:
    s5cmd = ("s5cmd", "--endpoint-url", ENDPOINT, "--numworkers", "32")
    run(*s5cmd, "cp", f"{local}/many/", f"s3://{BUCKET}/s5cmd/")
    run(*s5cmd, "cp", "--part-size", "5", f"{local}/deep/er/large.bin", f"s3://{BUCKET}/large.bin")
    assert run(*s5cmd, "ls", f"s3://{BUCKET}/s5cmd/*").count(b"\n") == 200
    run(*s5cmd, "cp", f"s3://{BUCKET}/s5cmd/*", f"{back}/s5cmd/")
    run(*s5cmd, "cp", f"s3://{BUCKET}/large.bin", f"{back}/large.bin")
    assert tree(back / "s5cmd") == tree(local / "many")
    assert (back / "large.bin").read_bytes() == (local / "deep/er/large.bin").read_bytes()
    run(*s5cmd, "rm", f"s3://{BUCKET}/*")
    run(*s5cmd, "rb", f"s3://{BUCKET}")


with tempfile.TemporaryDirectory() as temporary:
    here = source(Path(temporary) / "local")
    for works in (rclone_works, s5cmd_works):
        works(here, Path(temporary) / "back")
        print(works.__name__)
