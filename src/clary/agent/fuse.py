"""A read-only file system that shows a catalogue, by the kernel's own FUSE protocol.

Nothing is ever opened or closed: the kernel keeps names, attributes and pages for as long as it likes, and asks for a
range of a numbered file when it has none of it. So any number of processes may answer, each for itself.
Source: include/uapi/linux/fuse.h of Linux.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from clary.agent import linux

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.agent.catalogue import Catalogue, Node

DEVICE = "/dev/fuse"

_LOOKUP, _FORGET, _GETATTR, _READ, _STATFS, _INIT, _READDIR, _ACCESS = 1, 2, 3, 15, 17, 26, 28, 34
_INTERRUPT, _DESTROY, _BATCH_FORGET, _READDIRPLUS = 36, 38, 42, 44
_UNANSWERED = {_FORGET, _INTERRUPT, _BATCH_FORGET, _DESTROY}

_ASYNC_READ = 1 << 0
_DO_READDIRPLUS, _READDIRPLUS_AUTO = 1 << 13, 1 << 14
_NO_OPEN, _PARALLEL_FOLDERS = 1 << 17, 1 << 18
_MAX_PAGES, _NO_OPENDIR = 1 << 22, 1 << 24
_WANTED = _ASYNC_READ | _DO_READDIRPLUS | _READDIRPLUS_AUTO | _NO_OPEN | _PARALLEL_FOLDERS | _MAX_PAGES | _NO_OPENDIR
_VERSION = (7, 31)

_REQUEST = struct.Struct("<IIQQIIII")
_ANSWER = struct.Struct("<IiQ")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")
_ENTRY_BYTES = _ENTRY.size + _ATTRIBUTES.size
_VALID = struct.Struct("<QI4x")
_READ_REQUEST = struct.Struct("<QQI")
_CHILD = struct.Struct("<QQII")
_INIT_ANSWER = struct.Struct("<IIIIHHIIHHII24x")
_STATFS_ANSWER = struct.Struct("<QQQQQIIII24x")

_REQUEST_BYTES = 1 << 14
"""Longer than any request but those to write."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_READ_BYTES = 1 << 20
_FOREVER_S = 1 << 30
_READAHEAD_BYTES = 1 << 20


def mount(target: str, device: str = DEVICE) -> int:
    """Mounts a file system on `target`; the descriptor is that of whoever serves it.

    Raises:
        OSError: the machine refuses it.
    """
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_RDONLY
    try:
        linux.mount("clary", target, "fuse", flags, options)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Server:
    """Answers the kernel's questions about one catalogue until the file system is gone."""

    def __init__(self, descriptor: int, catalogue: Catalogue) -> None:
        self._descriptor = descriptor
        self._catalogue = catalogue
        self._request = bytearray(_REQUEST_BYTES)
        self._answer = bytearray(_ANSWER.size + _READ_BYTES)
        self._deeds: dict[int, Callable[[int, memoryview], bytes]] = {
            _LOOKUP: self._lookup,
            _GETATTR: self._attributes,
            _INIT: self._begin,
            _STATFS: self._totals,
            _ACCESS: lambda _node, _body: b"",
            _READDIR: lambda node, body: self._list(node, body, full=False),
            _READDIRPLUS: lambda node, body: self._list(node, body, full=True),
        }

    def serve(self) -> None:
        """Answers until the file system is unmounted."""
        with memoryview(self._request) as request:
            while True:
                try:
                    length = os.readv(self._descriptor, [request])
                except OSError as error:
                    if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                        continue
                    return
                self._serve(request[:length])

    def _serve(self, request: memoryview) -> None:
        _, operation, unique, node, *_ = _REQUEST.unpack_from(request)
        if operation in _UNANSWERED:
            return
        deed = self._deeds.get(operation, _unknown)
        try:
            if operation == _READ:
                self._read(unique, node, request[_REQUEST.size :])
                return
            content = deed(node, request[_REQUEST.size :])
            self._send([_ANSWER.pack(_ANSWER.size + len(content), 0, unique), content])
        except Exception as error:  # noqa: BLE001  # whoever asks waits until there is an answer
            number = error.errno if isinstance(error, OSError) else None
            self._send([_ANSWER.pack(_ANSWER.size, -(number or errno.EIO), unique)])

    def _send(self, parts: list[bytes]) -> None:
        # The kernel refuses the answer to a request that was interrupted.
        try:
            os.writev(self._descriptor, parts)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise

    def _read(self, unique: int, node: int, body: memoryview) -> None:
        _, offset, size = _READ_REQUEST.unpack_from(body)
        with memoryview(self._answer) as answer:
            try:
                count = self._catalogue.read_into(answer[_ANSWER.size : _ANSWER.size + size], node, offset)
            except OSError as error:
                raise OSError(errno.EIO, "") from error
            _ANSWER.pack_into(answer, 0, _ANSWER.size + count, 0, unique)
            self._send([answer[: _ANSWER.size + count]])  # type: ignore[list-item]  # any buffer will do

    def _begin(self, _node: int, body: memoryview) -> bytes:
        _, _, readahead, flags = struct.unpack_from("<IIII", body)
        wanted = flags & _WANTED
        pages = _READ_BYTES // _PAGE
        return _INIT_ANSWER.pack(
            *_VERSION, max(readahead, _READAHEAD_BYTES), wanted, 64, 48, _PAGE, 1_000_000_000, pages, 0, 0, 0
        )

    def _lookup(self, node: int, body: memoryview) -> bytes:
        try:
            name = bytes(body).rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise OSError(errno.ENOENT, "") from error
        found = self._catalogue.lookup(node, name)
        if found is None:
            # A node of number zero tells that there is none and will be none.
            return _ENTRY.pack(0, 0, _FOREVER_S, 0, 0, 0) + bytes(_ATTRIBUTES.size)
        return _entry(found)

    def _attributes(self, node: int, _body: memoryview) -> bytes:
        return _VALID.pack(_FOREVER_S, 0) + _attributes(self._known(node))

    def _list(self, node: int, body: memoryview, *, full: bool) -> bytes:
        """The children behind `offset`, which is the number of the child before, as many as there is room for."""
        _, offset, size = _READ_REQUEST.unpack_from(body)
        last = self._catalogue.node(offset)
        parts: list[bytes] = []
        room = size
        for child in self._catalogue.children(node, last.name if last else ""):
            part = _child(child, full=full)
            room -= len(part)
            if room < 0:
                break
            parts.append(part)
        return b"".join(parts)

    def _totals(self, _node: int, _body: memoryview) -> bytes:
        return _STATFS_ANSWER.pack(0, 0, 0, 0, 0, _PAGE, 255, _PAGE, 0)

    def _known(self, number: int) -> Node:
        node = self._catalogue.node(number)
        if node is None:
            raise OSError(errno.ENOENT, "")
        return node


def _unknown(_node: int, _body: memoryview) -> bytes:
    """The kernel does without what it is once told to be unknown."""
    raise OSError(errno.ENOSYS, "")


def _attributes(node: Node) -> bytes:
    mode, links = (stat.S_IFDIR | 0o755, 2) if node.is_folder else (stat.S_IFREG | 0o644, 1)
    size = 0 if node.is_folder else node.size
    times = (node.modified, node.modified, node.modified, 0, 0, 0)
    return _ATTRIBUTES.pack(node.id, size, (size + 511) // 512, *times, mode, links, 0, 0, 0, _PAGE, 0)


def _entry(node: Node) -> bytes:
    return _ENTRY.pack(node.id, 0, _FOREVER_S, _FOREVER_S, 0, 0) + _attributes(node)


def _child(node: Node, *, full: bool) -> bytes:
    name = node.name.encode()
    kind = stat.S_IFDIR if node.is_folder else stat.S_IFREG
    plain = _CHILD.pack(node.id, node.id, len(name), kind >> 12) + name
    plain += bytes(-len(plain) % 8)
    return _entry(node) + plain if full else plain
