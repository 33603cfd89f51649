"""What a workload sees of inputs that were not copied, and what becomes of it when they fail."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clary.agent import bundle, processes
from clary.agent.catalogue import Extent, Writer
from clary.agent.workload import Input, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.compute.probe import Machine
    from tests.compute.conftest import Bench

DATA = Input(target="/opt/ml/data", name="0", served=True)


@pytest.fixture(autouse=True)
def able(machine: Machine) -> None:
    if machine.copies:
        pytest.skip(machine.copies)


def catalogue(bench: Bench, name: str, files: dict[str, bytes]) -> Path:
    """The inputs of a workload; each file lies in pieces of 100 KB."""
    folder = bench.folder / name / bundle.INPUTS
    writer = Writer(folder)
    for path, content in files.items():
        extents = []
        for start in range(0, len(content), 100_000):
            number, piece = writer.piece()
            part = content[start : start + 100_000]
            piece.write_bytes(part)
            extents.append(Extent(number, 0, len(part)))
        writer.file(f"0/{path}", extents, 1_000_000_000)
    writer.complete()
    return folder


def script(bench: Bench, name: str, code: str, **options: object) -> list[str]:
    seen = bench.run(name, "python", "-c", code, **options)
    assert seen.exit_code == 0, (seen, bench.log(name))
    return bench.log(name)


def test_any_range_can_be_read_by_any_call(bench: Bench) -> None:
    content = random.Random(1).randbytes(3_000_001)
    catalogue(bench, "ranges", {"big": content})
    code = """
import hashlib, mmap, os, random
path = "/opt/ml/data/big"
whole = open(path, "rb").read()
with open(path, "rb") as file:
    view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert view[:] == whole
    for _ in range(200):
        start, size = random.randrange(3_100_000), random.randrange(300_000)
        assert os.pread(file.fileno(), size, start) == whole[start:start + size]
print(hashlib.sha256(whole).hexdigest(), os.stat(path).st_size, int(os.stat(path).st_mtime))
"""
    expected = f"{hashlib.sha256(content).hexdigest()} {len(content)} 1000000000"
    assert script(bench, "ranges", code, inputs=(DATA,)) == [expected]


def test_folders_of_many_names_are_listed_whole(bench: Bench) -> None:
    names = {f"{number % 3}/{'long ' * (number % 40)}{number}" for number in range(3000)} | {"ä/ö"}
    catalogue(bench, "names", dict.fromkeys(names, b""))
    code = """
import os
found = sorted(os.path.relpath(os.path.join(top, name), "/opt/ml/data")
               for top, _, names in os.walk("/opt/ml/data") for name in names)
print(len(found), len(set(found)), "ä/ö" in found, os.path.exists("/opt/ml/data/none"))
"""
    assert script(bench, "names", code, inputs=(DATA,)) == ["3001 3001 True False"]


def test_nothing_but_the_input_is_in_sight(bench: Bench) -> None:
    catalogue(bench, "sight", {"file": b"content"})
    code = """
import os
print(sorted(name for name in os.listdir("/") if name.startswith(".")), os.path.exists("/dev/fuse"))
try:
    os.chmod("/opt/ml/data/file", 0o777)
except OSError as error:
    print(error.strerror)
"""
    assert script(bench, "sight", code, inputs=(DATA,)) == ["[] False", "Read-only file system"]


def test_a_catalogue_that_is_gone_fails_the_start(bench: Bench) -> None:
    (catalogue(bench, "gone", {"file": b"content"}) / "index").unlink()
    seen = bench.run("gone", "true", inputs=(DATA,))
    assert (seen.reason, seen.exit_code) == ("sandbox", 125)


@pytest.mark.parametrize("writable", [False, True])
def test_a_lock_on_a_linked_file_is_none_on_the_object(bench: Bench, writable: bool) -> None:
    tree = bench.folder / "lock" / bundle.INPUTS / "trees" / "0"
    tree.mkdir(parents=True)
    (tree / "object").write_bytes(b"content")
    code = """
import fcntl, time
file = open("/opt/ml/data/object", "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("LOCKED", flush=True)
time.sleep(60)
"""
    shown = Input(target="/opt/ml/data", name="0", linked=True, writable=writable)
    bench.start("lock", "python", "-c", code, inputs=(shown,))
    bench.wait_for_line("lock", "LOCKED")
    with (tree / "object").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("which", [min, max])
def test_a_server_that_dies_is_an_error_and_no_wait(bench: Bench, which: Callable[[list[int]], int]) -> None:
    catalogue(bench, "death", {"file": b"content"})
    code = """
import itertools, time
print("READY", flush=True)
for number in itertools.count():
    try:
        # A name that the kernel has not asked for before.
        open(f"/opt/ml/data/{number}")
    except FileNotFoundError:
        time.sleep(0.02)
    except OSError as error:
        print("END", error.strerror)
        break
"""
    handle = bench.start("death", "python", "-c", code, inputs=(DATA,))
    bench.wait_for_line("death", "READY")
    agent = bundle.agent_pid(bench.folder / "death")
    assert agent is not None
    servers = [pid for pid in processes.descendants(agent) if Path(f"/proc/{pid}/fd").exists() and _serves(pid)]
    assert len(servers) == 2
    os.kill(which(servers), signal.SIGKILL)
    assert bench.wait(handle).exit_code == 0


def _serves(pid: int) -> bool:
    return any(each.readlink().name == "fuse" for each in Path(f"/proc/{pid}/fd").iterdir())


def test_a_piece_that_is_gone_is_an_error_of_the_read(bench: Bench) -> None:
    (catalogue(bench, "hole", {"file": bytes(200_000)}) / "pieces" / "2").unlink()
    code = """
import os
file = os.open("/opt/ml/data/file", os.O_RDONLY)
print(len(os.pread(file, 1000, 0)))
try:
    os.pread(file, 1000, 199_000)
except OSError as error:
    print(error.strerror)
"""
    assert script(bench, "hole", code, inputs=(DATA,)) == ["1000", "Input/output error"]


def test_a_stream_that_fails_ends_the_workload_with_its_reason(any_bench: Bench) -> None:
    writer = Writer(any_bench.folder / "stream" / bundle.INPUTS)
    writer.record("0", 0, "s3://b/k", [writer.pack(b"no gzip")])
    writer.complete()
    pipe = Pipe(target="/opt/ml/train", name="0", gunzip=True)
    seen = any_bench.run("stream", "sh", "-c", "cat /opt/ml/train_0; sleep 60", pipes=(pipe,))
    assert seen.reason == "inputs"
    assert "'s3://b/k' is no gzip file" in seen.message


def test_notes_come_first_in_the_log(any_bench: Bench) -> None:
    any_bench.run("notes", "echo", "said", notes=("told",))
    assert any_bench.log("notes") == ["[clary] told", "said"]
