"""The system of a container image, in place of the machine's own."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clary.agent import linux

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clary.agent.workload import Container

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where commands are looked for when the image does not say."""

LOCK = ".lock"
"""Behind the name of an unpacked system; who uses it holds a shared lock."""


class User(NamedTuple):
    """Whom the command of an image runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def hold(container: Container) -> None:
    """Keep the system from being removed as long as the calling process lives."""
    lock = os.open(f"{container.root}{LOCK}", os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not container.root.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the unpacked image is gone", str(container.root))


def mount(container: Container, base: Path, scratch: Path) -> None:
    """Show the system on `base`, with a layer for changes on the disk or, where that cannot be, in memory."""
    flags = linux.MS_NOSUID | linux.MS_NODEV
    for folder in (scratch, scratch / "memory"):
        if folder != scratch:
            folder.mkdir(exist_ok=True)
            linux.mount("tmpfs", str(folder), "tmpfs", flags, "mode=755")
        upper, work = folder / "upper", folder / "work"
        for part in (upper, work):
            part.mkdir(parents=True, exist_ok=True)
        upper.chmod(0o755)
        options = ",".join(
            f"{name}dir={_escaped(path)}"
            for name, path in (("lower", container.root), ("upper", upper), ("work", work))
        )
        try:
            linux.mount("overlay", str(base), "overlay", flags, f"{options},userxattr")
        except OSError:
            if folder != scratch:
                raise
        else:
            return


def inside(path: str, outside: str) -> Path:
    """Where a path of the system leads.

    Raises:
        OSError: an image has made it a link into the machine, which is in sight at `outside`.
    """
    real = Path(os.path.realpath(path))
    if real.is_relative_to(outside):
        raise OSError(errno.ELOOP, "the image links out of itself", path)
    return real


def find_user(name: str) -> User:
    """Whom `name`, as an image writes it, means inside of its system.

    Raises:
        OSError: there is no such user or group.
    """
    wanted, _, group = (name or "0").partition(":")
    entry = next((each for each in _lines("/etc/passwd") if wanted in each[0:3:2]), None)
    if entry is None and not wanted.isdigit():
        raise OSError(errno.EINVAL, f"the image has no user {wanted}")
    uid = int(entry[2]) if entry else int(wanted)
    gid = _group(group) if group else int(entry[3]) if entry else 0
    names = {entry[0]} if entry and not group else set()
    groups = (int(each[2]) for each in _lines("/etc/group") if names & set(each[3].split(",")))
    return User(uid, gid, (gid, *groups), entry[5] if entry and len(entry) > 5 else "/")


def become(user: User, folders: Iterable[str], output: int) -> None:
    """Be that user from now on, who may write to some folders and reopen its own output."""
    if not user.uid and not user.gid:
        return
    for folder in _below(folders):
        with suppress(OSError):
            os.chown(folder, user.uid, user.gid)
    try:
        os.fchown(output, user.uid, user.gid)
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
    except OSError as error:
        # An ordinary user of the machine can be nobody but root in a sandbox.
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        sys.stderr.write(f"clary: this machine does not let the image run as user {user.uid}; it runs as root\n")
        sys.stderr.flush()


def _below(folders: Iterable[str]) -> Iterator[str]:
    """The folders and those below them, without what else is shown there: inputs stay as they are."""
    for folder in folders:
        for path, names, _ in os.walk(folder):
            names[:] = [name for name in names if not os.path.ismount(f"{path}/{name}")]
            yield path


def _group(name: str) -> int:
    if name.isdigit():
        return int(name)
    for entry in _lines("/etc/group"):
        if entry[0] == name:
            return int(entry[2])
    raise OSError(errno.EINVAL, f"the image has no group {name}")


def _lines(path: str) -> list[list[str]]:
    """The entries of a table of users; read by hand, as the machine's own library would ask the machine's services."""
    with suppress(OSError):
        return [
            line.split(":") for line in Path(path).read_text("utf-8", "replace").splitlines() if line.count(":") > 2
        ]
    return []


def _escaped(path: Path) -> str:
    """A path as the options of a mount take it."""
    return "".join(f"\\{sign}" if sign in "\\,:" else sign for sign in str(path))
