"""HTTP to servers that listen on Unix sockets."""

from __future__ import annotations

import socket
import stat
from http.client import HTTPConnection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def refuse_link(path: Path) -> None:
    """Refuses what is no socket: a workload could link the place of its own to the socket of another.

    Raises:
        OSError: there is none.
    """
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OSError(f"{path} is no socket")


class UnixConnection(HTTPConnection):
    """A connection to the server at `path`; each of its steps may take `timeout_s`."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Opens the connection.

        Raises:
            OSError: nobody listens there, or a link stands in the socket's place.
        """
        refuse_link(self._path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
