"""Records and the index of objects in a PostgreSQL server."""

from clary.store.postgres.database import PostgresDatabase

__all__ = ["PostgresDatabase"]
