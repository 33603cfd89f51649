"""Puts the layers of an image on top of each other, as a folder.

Layers come from whoever may push. Every path is followed as if the folder were the root of the disk, so that no link
leads out of it. Devices are left out, as a sandbox has its own, and programs lose the right to change their user.

Source: "Image Layer Filesystem Changeset", OCI Image Format Specification.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import stat
import tarfile
import zlib
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WHITEOUT = ".wh."
"""How the name of an entry begins that takes away what lies below."""
_OPAQUE = ".wh..wh..opq"
"""The entry that takes away all that lies below in its folder."""
_RESERVED = ".wh..wh."
_MOST_LINKS = 40
"""Links on the way of one path, as on Linux."""
_MODE = 0o1777
_IMPOSSIBLE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors for which the layer is to blame: a name that is too long, a link to a file that it replaces, ..."""
_BLOCK_BYTES = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class BadLayer(Exception):
    """A layer that cannot be unpacked; the message says why."""


class Unpacker:
    """Unpacks layers into one folder, which nobody else may change meanwhile."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._privileged = os.geteuid() == 0
        self._here: set[Path] = set()
        """What the layer at hand has made, and so does not take away."""
        self._known: dict[tuple[str, ...], Path] = {}
        """Where paths lead, as long as nothing on the way of any of them is taken away."""

    def apply(self, chunks: Iterator[bytes]) -> None:
        """Put the next layer on top.

        Raises:
            BadLayer: it is damaged, of a form that is not known, or leads out of the folder.
        """
        self._here = set()
        try:
            with _plain(chunks) as plain, tarfile.open(fileobj=plain, mode="r|", bufsize=_BLOCK_BYTES) as tar:
                for member in tar:
                    self._add(tar, member)
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError) as error:
            raise BadLayer(f"it is damaged: {error}") from error
        except OSError as error:
            if error.errno in _IMPOSSIBLE:
                raise BadLayer(f"it holds what cannot be: {error.strerror}") from error
            raise

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        *above, name = _parts(member.name) or [""]
        if not name:
            return
        folder = self._folder(above)
        if name.startswith(_WHITEOUT):
            self._take_away(folder, name)
            return
        path = folder / name
        if not self._make(tar, member, path):
            return
        self._here.add(path)
        if not member.islnk():
            self._describe(member, path)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bool:
        """Make what an entry tells; False for what is left out."""
        if member.isdir():
            if path.is_symlink() or not path.is_dir():
                self._remove(path)
                path.mkdir()
        elif member.issym():
            self._remove(path)
            path.symlink_to(member.linkname)
        elif member.islnk():
            self._link(member, path)
        elif member.isreg():
            self._remove(path)
            self._write(tar, member, path)
        elif member.isfifo():
            self._remove(path)
            os.mkfifo(path)
        else:
            return False
        return True

    def _link(self, member: tarfile.TarInfo, path: Path) -> None:
        *above, name = _parts(member.linkname) or [""]
        source = self._folder(above) / name
        if not name or not (source.is_symlink() or source.is_file()):
            raise BadLayer(f"{member.name} is a link to {member.linkname}, which is no file")
        if source != path:
            self._remove(path)
            os.link(source, path, follow_symlinks=False)

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        content = tar.extractfile(member)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123  # pathlib takes no descriptor
            if content is not None:
                shutil.copyfileobj(content, file, _BLOCK_BYTES)

    def _describe(self, member: tarfile.TarInfo, path: Path) -> None:
        """Give what was made its owner, mode and time, as far as this user may."""
        if self._privileged:
            with suppress(OSError):
                os.chown(path, member.uid, member.gid, follow_symlinks=False)
        if member.issym():
            return
        mode = member.mode & _MODE
        if not self._privileged:
            # The owner of all is who unpacks, and must be able to go on.
            mode |= stat.S_IRWXU if member.isdir() else stat.S_IRUSR | stat.S_IWUSR
        path.chmod(mode)
        with suppress(OSError, OverflowError, ValueError):
            os.utime(path, (member.mtime, member.mtime))

    def _take_away(self, folder: Path, name: str) -> None:
        if name == _OPAQUE:
            for path in list(folder.iterdir()):
                if path not in self._here:
                    self._remove(path)
        elif not name.startswith(_RESERVED):
            gone = name.removeprefix(_WHITEOUT)
            if gone in ("", ".", ".."):
                raise BadLayer(f"{name} takes away no name")
            self._remove(folder / gone)

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
        else:
            return
        self._known.clear()

    def _folder(self, parts: list[str]) -> Path:
        """The folder at a path below the root, made where it is not there; links are followed inside of the root."""
        way = tuple(parts)
        if way not in self._known:
            self._known[way] = self._found(parts)
        return self._known[way]

    def _found(self, parts: list[str]) -> Path:
        here: list[str] = []
        left = deque(parts)
        links = 0
        while left:
            part = left.popleft()
            if part == "..":
                del here[-1:]
                continue
            path = self._root.joinpath(*here, part)
            if path.is_symlink():
                links += 1
                target = str(path.readlink())
                here = [] if target.startswith("/") else here
                left.extendleft(reversed([each for each in target.split("/") if each not in ("", ".")]))
            else:
                _make_folder(path)
                here.append(part)
            if links > _MOST_LINKS:
                raise BadLayer(f"{'/'.join(parts)} has too many links on its way")
        return self._root.joinpath(*here)


def _parts(name: str) -> list[str]:
    """The names on the way of an entry.

    Raises:
        BadLayer: it leads up, out of the folder.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadLayer(f"{name} leads out of the image")
    return parts


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    if path.exists():
        raise BadLayer(f"{path.name} is no folder, but others lie in it")
    path.mkdir(0o755)


def _plain(chunks: Iterator[bytes]) -> io.BufferedIOBase:
    """The tar archive in the bytes of a layer."""
    stream = io.BufferedReader(_Chunks(chunks), _BLOCK_BYTES)
    head = stream.peek(4)
    if head.startswith(_ZSTD):
        raise BadLayer("it is compressed with zstd; push it with gzip (--compression-format gzip)")
    return gzip.GzipFile(fileobj=stream, mode="rb") if head.startswith(_GZIP) else stream


class _Chunks(io.RawIOBase):
    """Bytes that come in pieces, as a file to be read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # whatever is written to
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
