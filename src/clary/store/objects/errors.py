"""What can go wrong with the disk while objects are written."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clary.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator


class StorageFull(ServiceError):
    """The disk has no room; a status that clients do not try again at once."""

    code = "InsufficientStorage"
    status = 507

    def __init__(self) -> None:
        super().__init__("The disk of the platform is full; nothing was stored.")


@contextmanager
def telling_full_disk() -> Iterator[None]:
    """Raises StorageFull where the block finds no room on the disk."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from error
        raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise StorageFull from error
        raise
