"""Shows a workload data that were not copied for it: objects linked as they are, others by way of a file system.

What it changes in them goes to a layer of its own, so that no object can be changed through its channel.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from clary.agent import bundle, fuse, linux

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.agent.workload import Input, Workload

_PLACE = Path("/.inputs")
_SERVERS = 2
"""Processes that answer the kernel, so that two readers need not wait for each other."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sandbox shows."""

    inputs: Sequence[Input]
    bundle: Path
    server: socket.socket | None
    """Given the descriptor of the file system."""


def start_server(workload: Workload) -> socket.socket | None:
    """Begins the processes that serve the catalogue of `workload`, which end with it; None where there is none."""
    if not any(each.served for each in workload.inputs):
        return None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        _serve(theirs, workload.bundle / bundle.INPUTS)
    theirs.close()
    return ours


def _serve(channel: socket.socket, folder: Path) -> NoReturn:
    try:
        # Imported here, as SQLite would delay the first line of every other workload.
        from clary.agent.catalogue import Catalogue  # noqa: PLC0415

        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        linux.die_with_parent(signal.SIGKILL)
        _, descriptors, _, _ = socket.recv_fds(channel, 64, 1)
        channel.close()
        # They live and die together: a question that a dead one has taken would never be answered.
        signal.signal(signal.SIGCHLD, lambda *_: os._exit(1))
        for _ in range(_SERVERS - 1):
            if os.fork() == 0:
                linux.die_with_parent(signal.SIGKILL)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                break
        for descriptor in descriptors:
            fuse.Server(descriptor, Catalogue(folder)).serve()
    finally:
        os._exit(0)


def show(shown: Shown, host: str) -> None:
    """Put the inputs into the new root of the calling process; `host` is where that of the machine is.

    Raises:
        OSError: the machine refuses a step.
    """
    if not shown.inputs:
        return
    # Paths of our own, because those of the machine may hold characters that mean something to overlayfs.
    own = Path(f"{host}{shown.bundle}") / bundle.SCRATCH / "inputs"
    own.mkdir(parents=True, exist_ok=True)
    # An image may hold a link of this name, which nobody must follow.
    _PLACE.mkdir()
    for name, source in (("data", f"{host}{shown.bundle}/{bundle.INPUTS}"), ("own", str(own))):
        (_PLACE / name).mkdir()
        linux.mount(source, str(_PLACE / name), "", linux.MS_BIND)
    served = _PLACE / "served"
    served.mkdir()
    if shown.server is not None:
        descriptor = fuse.mount(str(served), f"{host}{fuse.DEVICE}")
        socket.send_fds(shown.server, [b"served"], [descriptor])
        os.close(descriptor)
        shown.server.close()
        _read_ahead(served, host)
    for each in sorted(shown.inputs, key=lambda each: Path(each.target).parts):
        _show(each)
    # What shows parts of them keeps them.
    for name in (*(("served",) if shown.server is not None else ()), "own", "data"):
        linux.unmount(str(_PLACE / name))
    for name in ("served", "own", "data"):
        (_PLACE / name).rmdir()
    _PLACE.rmdir()


def _read_ahead(served: Path, host: str) -> None:
    """Let the kernel ask for more at once, which root alone may; it reads nearly twice as fast then."""
    device = served.stat().st_dev
    with suppress(OSError):
        Path(f"{host}/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb").write_text("1024")


def _show(each: Input) -> None:
    Path(each.target).mkdir(parents=True, exist_ok=True)
    own = _PLACE / "own" / each.name
    for part in ("upper", "work"):
        (own / part).mkdir(parents=True)
    # Images run as users of their own.
    (own / "upper").chmod(0o755)
    lowers = [str(_PLACE / "data" / "trees" / each.name)] if each.linked else []
    lowers += [str(_PLACE / "served" / each.name)] if each.served else []
    if each.writable:
        # Thrown away after the end, so it need not be on the disk when it is copied.
        options = f",upperdir={own}/upper,workdir={own}/work,volatile"
    else:
        # Read-only, but no mere mount of the folder: locks on its files would be locks on objects.
        lowers.append(f"{own}/upper")
        options = ""
    options = f"lowerdir={':'.join(lowers)},userxattr{options}"
    linux.mount("overlay", each.target, "overlay", linux.MS_NOSUID | linux.MS_NODEV, options)
