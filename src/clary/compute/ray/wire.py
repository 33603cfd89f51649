"""What a follower and a host say to each other.

Every question has a TCP connection of its own: a line of JSON with the secret of the host, bytes that belong to it, and
back a line of JSON and the bytes that belong to that. Folders travel as tar streams, whose last member tells that
nothing is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tarfile
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from clary.compute.base import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LINE_BYTES = 16 << 20
"""Longest line: it may hold the whole of a workload."""

_COMPLETE = ".complete"
_MOMENTS = ("started_at", "ended_at")
_BLOCK = 1 << 20


class Address(NamedTuple):
    """Where a host listens."""

    host: str
    port: int


class Refused(Exception):
    """The host cannot do what it was asked for; the text tells why."""


class Exchange:
    """One question and its answer.

    Raises:
        OSError: the host is not reached, or the connection breaks.
    """

    def __init__(self, address: Address, question: Mapping[str, Any], timeout_s: float) -> None:
        self._socket = socket.create_connection(address, timeout_s)
        self.stream = cast("IO[bytes]", self._socket.makefile("rwb"))
        try:
            say(self.stream, question)
        except OSError:
            self._socket.close()
            raise

    def answer(self) -> dict[str, Any]:
        """What the host answers; its bytes can be read from `stream` then.

        Raises:
            Refused: it refuses.
            OSError: the connection breaks.
        """
        self.stream.flush()
        self._socket.shutdown(socket.SHUT_WR)
        heard = hear(self.stream)
        if "refused" in heard:
            raise Refused(heard["refused"])
        return heard

    def close(self) -> None:
        """Hang up."""
        with closing(self._socket):
            self.stream.close()


def ask(address: Address, question: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """The answer to a question that needs no bytes.

    Raises:
        Refused: the host refuses.
        OSError: it is not reached, or the connection breaks.
    """
    with closing(Exchange(address, question, timeout_s)) as exchange:
        return exchange.answer()


def say(stream: IO[bytes], message: Mapping[str, Any]) -> None:
    """Write a line."""
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def hear(stream: IO[bytes]) -> dict[str, Any]:
    """Read a line.

    Raises:
        ConnectionError: it does not come.
    """
    line = stream.readline(LINE_BYTES)
    if not line.endswith(b"\n"):
        raise ConnectionError("the other side has hung up")
    return json.loads(line)  # type: ignore[no-any-return]  # only objects are written


def send_files(stream: IO[bytes], root: Path, names: Iterable[str]) -> None:
    """Write these files, folders and links of `root`."""
    with tarfile.open(fileobj=stream, mode="w|", bufsize=_BLOCK) as tar:
        for name in names:
            _send_file(tar, root, name)
        tar.addfile(tarfile.TarInfo(_COMPLETE))
    stream.flush()


def receive_files(stream: IO[bytes], root: Path) -> None:
    """Read what `send_files` wrote; nothing is written through a link, wherever one stands.

    Raises:
        OSError: the stream breaks off, or a name does not lie in `root`.
    """
    links = []
    complete = False
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_BLOCK) as tar:
            for member in tar:
                if member.issym():
                    links.append(member)
                elif member.name == _COMPLETE:
                    complete = True
                else:
                    _receive(tar, member, _place(root, member.name), root / ".part")
    except tarfile.TarError as error:
        raise ConnectionError(f"the files break off: {error}") from error
    if not complete:
        raise ConnectionError("the files break off")
    for link in links:
        place = _place(root, link.name)
        place.unlink(missing_ok=True)
        place.symlink_to(link.linkname)


def names_below(root: Path, folder: str) -> Iterator[str]:
    """Every file, folder and link below a folder of `root`, from above to below; no link is followed."""
    for path, folders, files in os.walk(root / folder):
        for name in (*folders, *files):
            yield str((Path(path) / name).relative_to(root))


def to_json(seen: Observation) -> dict[str, Any]:
    """An observation as plain JSON values."""
    value = asdict(seen)
    return value | {name: value[name].timestamp() for name in _MOMENTS if value[name] is not None}


def from_json(value: Mapping[str, Any]) -> Observation:
    """The observation that `to_json` wrote."""
    moments = {name: datetime.fromtimestamp(value[name], UTC) for name in _MOMENTS if value.get(name) is not None}
    return Observation(**{**value, **moments})


def _send_file(tar: tarfile.TarFile, root: Path, name: str) -> None:
    # What the archive holds already does not matter: links between files are none to whom receives them.
    tar.inodes = {}  # type: ignore[attr-defined]  # public, but not declared
    member = tar.gettarinfo(root / name, name)
    if not (member.isreg() or member.isdir() or member.issym()):
        return
    if member.isreg():
        with os.fdopen(os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            tar.addfile(member, file)
    else:
        tar.addfile(member)


def _receive(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, draft: Path) -> None:
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(member)
    if content is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    draft.unlink(missing_ok=True)
    with content, draft.open("xb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
    draft.chmod(member.mode & 0o755 | 0o600)
    os.utime(draft, (member.mtime, member.mtime))
    draft.replace(place)


def _place(root: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or not parts:
        raise OSError(f"{name!r} lies outside of the folder")
    if any(root.joinpath(*parts[:count]).is_symlink() for count in range(1, len(parts))):
        raise OSError(f"{name!r} lies behind a link")
    return root.joinpath(*parts)
