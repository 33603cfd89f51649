"""Unpacks archives that others have packed, so that nothing lands outside of a folder.

Done by hand because the standard library's `data` filter is not there before Python 3.11.4, and links lead out of it
until 3.11.13, 3.12.11 and 3.13.4 (CVE-2025-4517).
"""

from __future__ import annotations

import os
import posixpath
import tarfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def unpack(archive: Path, target: Path) -> None:
    """Unpack a tar archive, compressed or not, into a folder; all becomes the caller's own.

    Raises:
        TarError, OSError, EOFError: it is no such archive, or a member leads out of the folder.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extraction_filter = lambda member, _: member
            tar.extractall(target, members=(_checked(member, target) for member in tar))  # noqa: S202  # each is checked
    except (zlib.error, ValueError) as error:
        raise tarfile.ReadError(str(error)) from error


def _checked(member: tarfile.TarInfo, target: Path) -> tarfile.TarInfo:
    """The member as it may be unpacked now, that is after all before it."""
    _refuse_outside(member, target, member.name)
    if member.issym():
        # The link itself is never followed here, so that it is enough to read its target as text.
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
        if linked.startswith(("/", "../")) or linked == "..":
            raise tarfile.ExtractError(f"{member.name!r} is a link to {member.linkname!r}, outside of the archive")
    elif member.islnk():
        _refuse_outside(member, target, member.linkname)
    elif not (member.isreg() or member.isdir()):
        raise tarfile.ExtractError(f"{member.name!r} is neither a file, a folder nor a link")
    member.mode = 0o755 if member.isdir() else member.mode & 0o755 | 0o600
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    return member


def _refuse_outside(member: tarfile.TarInfo, target: Path, name: str) -> None:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise tarfile.ExtractError(f"{member.name!r} would be unpacked outside of the folder")
    if any(target.joinpath(*parts[:count]).is_symlink() for count in range(1, len(parts) + 1)):
        raise tarfile.ExtractError(f"{member.name!r} would be unpacked through a link")
