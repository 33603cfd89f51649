"""What can go wrong where objects are kept."""

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


class StorageUnavailable(ServiceError):
    """The server that keeps the contents does not do what it is asked for; trying again may help."""

    code = "ServiceUnavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("The storage behind the platform does not answer as it should. Please try again.")


class StorageSlow(ServiceError):
    """The server that keeps the contents wants fewer requests."""

    code = "SlowDown"
    status = 503

    def __init__(self) -> None:
        super().__init__("Please reduce your request rate.")


class CustomerKeyMissing(ServiceError):
    """A content is read that a key of the customer has encrypted, without that key."""

    code = "InvalidRequest"

    def __init__(self) -> None:
        super().__init__(
            "The object was stored using a form of Server Side Encryption. "
            "The correct parameters must be provided to retrieve the object."
        )


class CustomerKeyWrong(ServiceError):
    """The key is not the one that the content was encrypted with."""

    code = "AccessDenied"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "Requests specifying Server Side Encryption with Customer provided keys must provide "
            "the correct secret key."
        )


@contextmanager
def telling_full_disk() -> Iterator[None]:
    """Raises StorageFull where the block finds no room on the disk."""
    try:
        yield
    except (OSError, DatabaseError) as error:
        if is_full(error):
            raise StorageFull from error
        raise
