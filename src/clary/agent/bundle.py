"""The files of a workload's state folder, shared by the agent and the platform."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import struct
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TASK = "workload.json"
STATUS = "status.json"
EXIT = "exit.json"
STOP = "stop.json"
LOCK = "agent.lock"
CONTROL = "control.sock"
LOG = "log"
AGENT_LOG = "agent.log"
INPUTS = "inputs"
FAILURE = "failure"
"""In the folder of inputs: why the workload could not be given them all."""
SCRATCH = "scratch"
RESERVE = "reserve"
_RESERVE_BYTES = 1 << 16


def read(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`, or None while there is none."""
    try:
        return json.loads(path.read_bytes())  # type: ignore[no-any-return]  # only objects are written
    except FileNotFoundError:
        return None


def keep_room(folder: Path) -> None:
    """Put room aside, so that the end of the workload can be written down even when it has filled the disk."""
    with suppress(OSError):
        (folder / RESERVE).write_bytes(bytes(_RESERVE_BYTES))


def write(path: Path, value: Mapping[str, Any], *, sync: bool = False) -> None:
    """Put `value` into `path` at once, so that a reader sees the old or the new state and never a part."""
    try:
        _write(path, value, sync=sync)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        path.with_name(RESERVE).unlink(missing_ok=True)
        _write(path, value, sync=sync)


def _write(path: Path, value: Mapping[str, Any], *, sync: bool) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # Environments hold secrets.
    with open(draft, "wb", opener=_private) as file:  # pathlib takes no opener
        file.write(json.dumps(value, separators=(",", ":")).encode())
        if sync:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def address(path: Path) -> Iterator[str]:
    """An address of the Unix socket at `path` that fits the 108 bytes of the kernel's structure on Linux."""
    if sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def remove(folder: Path) -> None:
    """Take away a folder with all that a workload put into it, also what it made unreadable; safe to repeat."""
    for path, names, _ in os.walk(folder):
        for name in names:
            place = Path(path) / name
            if not place.is_symlink():
                with suppress(OSError):
                    place.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def claim(bundle: Path) -> bool:
    """Become the agent of `bundle` until this process ends; False when it has one already.

    A record lock ends with its process however that dies and is not inherited by forks.
    """
    descriptor = os.open(bundle / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    return True


def agent_pid(bundle: Path) -> int | None:
    """The process id of the living agent of `bundle`; not for use by the agent itself."""
    try:
        descriptor = os.open(bundle / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _QUESTION)
    finally:
        os.close(descriptor)
    kind, pid = _answer(answer)
    return None if kind == fcntl.F_UNLCK else pid


# `struct flock` as the C headers of the two systems lay it out.
if sys.platform == "darwin":
    _QUESTION = struct.pack("qqihh", 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)

    def _answer(data: bytes) -> tuple[int, int]:
        _, _, pid, kind, _ = struct.unpack("qqihh", data)
        return kind, pid
else:
    _QUESTION = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

    def _answer(data: bytes) -> tuple[int, int]:
        kind, _, _, _, pid = struct.unpack("hhqqi4x", data)
        return kind, pid
