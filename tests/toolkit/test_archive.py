from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from clary.toolkit.archive import unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Entry = tuple[str, bytes, str]
"""Name, type and the text of a file or the target of a link."""


@pytest.fixture
def packed(tmp_path: Path) -> Callable[..., Path]:
    """Writes an archive member by member, as no honest program would."""

    def pack(*entries: Entry, mode: int = 0o644) -> Path:
        path = tmp_path / "archive.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for name, kind, text in entries:
                member = tarfile.TarInfo(name)
                member.type, member.mode, member.uid, member.uname = kind, mode, 4711, "somebody"
                if kind == tarfile.REGTYPE:
                    member.size = len(text)
                else:
                    member.linkname = text
                tar.addfile(member, io.BytesIO(text.encode()))
        return path

    return pack


def test_files_folders_and_links_come_out(packed: Callable[..., Path], tmp_path: Path) -> None:
    archive = packed(
        ("./blobs", tarfile.DIRTYPE, ""),
        ("./blobs/weights", tarfile.REGTYPE, "w"),
        ("snapshot/model", tarfile.SYMTYPE, "../blobs/weights"),
        ("same", tarfile.LNKTYPE, "blobs/weights"),
    )
    unpack(archive, tmp_path / "out")
    assert [(tmp_path / "out" / name).read_text() for name in ("snapshot/model", "same")] == ["w", "w"]


def test_owners_and_special_permissions_stay_behind(packed: Callable[..., Path], tmp_path: Path) -> None:
    unpack(packed(("tool", tarfile.REGTYPE, "x"), mode=0o6777), tmp_path / "out")
    found = (tmp_path / "out" / "tool").stat()
    assert (found.st_mode & 0o7777, found.st_uid) == (0o755, os.getuid())


@pytest.mark.parametrize(
    "entries",
    [
        [("../outside", tarfile.REGTYPE, "x")],
        [("/outside", tarfile.REGTYPE, "x")],
        [("a/../../outside", tarfile.REGTYPE, "x")],
        [("link", tarfile.SYMTYPE, "/etc/passwd")],
        [("link", tarfile.SYMTYPE, "..")],
        [("a/link", tarfile.SYMTYPE, "../../outside")],
        [("link", tarfile.LNKTYPE, "../outside")],
        [("here", tarfile.SYMTYPE, "."), ("here/file", tarfile.REGTYPE, "x")],
        [("file", tarfile.SYMTYPE, "other"), ("file", tarfile.REGTYPE, "x")],
        [("a/b/up", tarfile.SYMTYPE, "../.."), ("a/b/up/x", tarfile.SYMTYPE, "../..")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("disk", tarfile.BLKTYPE, "")],
    ],
)
def test_what_leads_out_is_refused(packed: Callable[..., Path], tmp_path: Path, entries: list[Entry]) -> None:
    with pytest.raises(tarfile.ExtractError):
        unpack(packed(*entries), tmp_path / "out")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\0\0\0\0\0\0\3rubbish", b"a\0b" * 600])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises((tarfile.TarError, EOFError)):
        unpack(tmp_path / "archive", tmp_path / "out")
