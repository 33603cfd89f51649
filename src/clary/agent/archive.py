"""Packing of a workload's results."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from clary.agent.workload import Archive

# Models hardly compress; the fastest level is several times faster than the default for a few percent of size.
_COMPRESSION = 1


def pack(bundle: Path, archive: Archive) -> bool:
    """Write the archive with the folder's entries at its root; False when there was nothing to pack.

    Raises:
        OSError: the folder cannot be read or the archive not written.
        ValueError: the workload replaced the folder by a link out of the bundle.
    """
    source = bundle / archive.source
    if not source.resolve().is_relative_to(bundle.resolve()):
        raise ValueError(f"{archive.source} leads out of the workload's folder")
    entries = sorted(source.iterdir()) if source.is_dir() else []
    if not entries and not archive.keep_empty:
        return False
    draft = archive.target.with_name(f".{archive.target.name}.part")
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(draft, "w:gz", compresslevel=_COMPRESSION) as tar:
            for entry in entries:
                tar.add(entry, arcname=entry.name, filter=_plain)
    except BaseException:
        # On a full disk its room is what the end of the workload needs to be written down.
        draft.unlink(missing_ok=True)
        raise
    draft.replace(archive.target)
    return True


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The member without its owner; pipes, sockets and devices stay out."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
