"""All versions of a bucket, in bounded pages, for work that goes on beside the requests."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from clary.store.objects.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.store.database import Database, Row

PAGE = 500


def by_key(
    database: Database, bucket: str, after: str = "", page: int = PAGE
) -> Iterator[tuple[str, Iterator[Version]]]:
    """Each key behind `after` with its versions, from the latest to the earliest; no statement stays open meanwhile."""
    return groupby(_versions(database, bucket, after, page), key=attrgetter("key"))


def versions_of(database: Database, bucket: str, key: str, limit: int) -> list[Version]:
    """The latest versions of one key."""
    return [Version(*row) for row in database.read(_OF_KEY, (bucket, key, limit)).fetchall()]


def _versions(database: Database, bucket: str, after: str, page: int) -> Iterator[Version]:
    rows: list[Row] = database.read(_FIRST, (bucket, after, bucket, after, page)).fetchall()
    while rows:
        yield from (Version(*row) for row in rows)
        if len(rows) < page:
            return
        last = Version(*rows[-1])
        place = (bucket, last.key, last.key, last.sequence)
        rows = database.read(_NEXT, (*place, *place, page)).fetchall()


_COLUMNS = "bucket, past, key, sequence, version_id, deleted, size, etag, modified, checksum, meta"
# ruff: noqa: S608  # statements are put together from constants only
_FIRST = f"""
SELECT {_COLUMNS} FROM objects WHERE past = 0 AND bucket = ? AND key > ?
UNION ALL SELECT {_COLUMNS} FROM objects WHERE past = 1 AND bucket = ? AND key > ?
ORDER BY key, sequence DESC LIMIT ?
"""
_NEXT = f"""
SELECT {_COLUMNS} FROM objects WHERE past = 0 AND bucket = ? AND key >= ? AND NOT (key = ? AND sequence >= ?)
UNION ALL SELECT {_COLUMNS} FROM objects WHERE past = 1 AND bucket = ? AND key >= ? AND NOT (key = ? AND sequence >= ?)
ORDER BY key, sequence DESC LIMIT ?
"""
_OF_KEY = f"""
SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND past IN (0, 1) AND key = ? ORDER BY sequence DESC LIMIT ?
"""
