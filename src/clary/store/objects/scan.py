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


def totals(database: Database, bucket: str) -> tuple[int, int]:
    """How many versions and delete markers a bucket has, and how many bytes."""
    count, size = database.read(_TOTALS, (bucket,)).fetchone()
    return int(count), int(size)


def _versions(database: Database, bucket: str, after: str, page: int) -> Iterator[Version]:
    place: Row = (bucket, after, page)
    rows: list[Row] = database.read(_FIRST, (*place, *place, page)).fetchall()
    while rows:
        yield from (Version(*row) for row in rows)
        if len(rows) < page:
            return
        last = Version(*rows[-1])
        place = (bucket, last.key, last.key, last.sequence, page)
        rows = database.read(_NEXT, (*place, *place, page)).fetchall()


_COLUMNS = "bucket, past, key, sequence, version_id, deleted, size, etag, modified, checksum, meta"
# ruff: noqa: S608  # statements are put together from constants only
# Each half has a limit of its own: PostgreSQL would find all rows of both before it sorts them.
_ORDER = "ORDER BY key, sequence DESC LIMIT ?"
_HALVES = f"""
SELECT * FROM (SELECT {_COLUMNS} FROM objects WHERE past = 0 AND bucket = ? AND {{condition}} {_ORDER}) AS latest
UNION ALL
SELECT * FROM (SELECT {_COLUMNS} FROM objects WHERE past = 1 AND bucket = ? AND {{condition}} {_ORDER}) AS earlier
{_ORDER}
"""
_FIRST = _HALVES.format(condition="key > ?")
_NEXT = _HALVES.format(condition="key >= ? AND NOT (key = ? AND sequence >= ?)")
_TOTALS = "SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE bucket = ?"
_OF_KEY = f"""
SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND past IN (0, 1) AND key = ? ORDER BY sequence DESC LIMIT ?
"""
