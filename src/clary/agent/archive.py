"""Packing of a workload's results."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING, cast

from clary.agent.gzip_writer import ParallelGzip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clary.agent.workload import Archive

# Models hardly compress; the fastest level is several times faster than the default for a few percent of size.
_COMPRESSION = 1


def pack(bundles: Sequence[Path], archive: Archive) -> bool:
    """Write the archive into the first of `bundles` with the entries of its folder in all of them at its root.

    False when there was nothing to pack.

    Raises:
        OSError: a folder cannot be read or the archive not written.
        ValueError: a workload replaced the folder by a link out of its bundle.
    """
    entries = [entry for bundle in bundles for entry in _entries(bundle, archive.source)]
    if not entries and not archive.keep_empty:
        return False
    target = bundles[0] / archive.target
    draft = target.with_name(f".{target.name}.part")
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            draft.open("wb") as file,
            ParallelGzip(file, _COMPRESSION) as packed,
            tarfile.open(fileobj=cast(IO[bytes], packed), mode="w|") as tar,  # it only writes
        ):
            for entry in entries:
                tar.add(entry, arcname=entry.name, filter=_plain)
    except BaseException:
        # On a full disk its room is what the end of the workload needs to be written down.
        draft.unlink(missing_ok=True)
        raise
    draft.replace(target)
    return True


def _entries(bundle: Path, name: str) -> list[Path]:
    folder = bundle / name
    if not folder.resolve().is_relative_to(bundle.resolve()):
        raise ValueError(f"{name} leads out of the workload's folder")
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The member without its owner; pipes, sockets and devices stay out."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
