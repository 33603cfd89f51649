"""What can go wrong with the disk while objects are written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from clary.errors import ServiceError
from clary.store.database import DatabaseError, is_full

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
    except (OSError, DatabaseError) as error:
        if is_full(error):
            raise StorageFull from error
        raise
