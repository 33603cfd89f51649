"""Opens the database that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clary.store.database import Database, DatabaseError
from clary.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from clary.settings import Settings

_POSTGRES = ("postgresql://", "postgres://")


def place(settings: Settings) -> str:
    """Where the database is, without the password."""
    if not settings.database:
        return str(settings.home / "clary.db")
    return f"the database at {urlsplit(settings.database).netloc.rpartition('@')[2] or 'this machine'}"


def open_database(settings: Settings) -> Database:
    """The database of a platform, brought to the newest layout.

    Raises:
        DatabaseError: it cannot be used; the text says why and names no password.
    """
    durable = settings.durability == "disk"
    if not settings.database:
        return SqliteDatabase(settings.home / "clary.db", durable=durable, shared=settings.gateways > 0)
    if not settings.database.startswith(_POSTGRES):
        raise DatabaseError("CLARY_DATABASE is not an address of the form postgresql://user@host/database")
    try:
        from clary.store.postgres import PostgresDatabase  # noqa: PLC0415  # an optional library
    except ImportError as error:
        raise DatabaseError("CLARY_DATABASE needs the PostgreSQL client: pip install 'clary[postgres]'") from error
    return PostgresDatabase(settings.database, durable=durable)
