"""What callers are told when the database does not do what it is asked."""

from __future__ import annotations

from clary.errors import ServiceError, ValidationException
from clary.store.database import Unavailable, Unstorable, is_full
from clary.store.objects.errors import StorageFull


class DatabaseUnavailable(ServiceError):
    """The database cannot be reached; trying again may help, and clients do."""

    code = "ServiceUnavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("The database of the platform is not available at the moment. Please try again.")


def fault(error: BaseException) -> ServiceError | None:
    """What to answer instead of an internal error, None when it is one."""
    if is_full(error):
        return StorageFull()
    if isinstance(error, Unavailable):
        return DatabaseUnavailable()
    if isinstance(error, Unstorable):
        return ValidationException(f"The request holds a value that the database cannot keep: {error}")
    return None
