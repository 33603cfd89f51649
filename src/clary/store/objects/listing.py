"""Pages of keys and versions, in the order of their UTF-8 bytes.

A page with a delimiter costs as much as what it shows: having met a few keys below a common prefix, the scan jumps
over the rest of them. Rows are asked for in small numbers first, since not every engine hands them over one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from clary.store.objects.index import sequence_of
from clary.store.objects.version import NULL_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clary.store.database import Database, Row

JUMP_AFTER_KEYS = 8
"""As many rows cost about as much as a jump."""

FIRST_ROWS = 64
MOST_ROWS = 1001
"""How many rows one statement brings: at first, when it is open how many are wanted, and at most."""

LAST_CHARACTER = "\U0010ffff"
MAX_KEY_BYTES = 1024

Bound = tuple[str, str]
"""Where a scan begins: `>` or `>=`, and a key."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which part of a bucket to list."""

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    """The key or common prefix where the page before ended."""
    after_version: str = ""
    """The version of that key, when versions are listed."""
    limit: int = 1000


class Page(NamedTuple):
    """A part of a listing.

    Rows of keys are (key, size, etag, modified, checksum, meta); rows of versions have (sequence, past, deleted,
    version id) behind that. `meta` is what was said of the object if it tells a storage class, else empty.
    """

    rows: list[Row]
    common_prefixes: list[str]
    last: str
    """The key or common prefix that comes last; empty when nothing follows this page."""
    last_version: str = ""


def list_keys(database: Database, query: PageQuery) -> Page:
    """Current objects; delete markers are not shown."""
    scan = partial(_scan, database, _KEYS, query)
    return _page(query, scan, scan(_first(query), _first_rows(query)))


def list_versions(database: Database, query: PageQuery) -> Page:
    """Every version and delete marker, those of one key from the latest to the earliest."""
    scan = partial(_scan, database, _VERSIONS, query)
    rows = scan(_first(query), _first_rows(query))
    if query.after_version:
        rows = chain(_rest_of_key(database, query), rows)
    return _page(query, scan, rows)


def after_all(prefix: str) -> str:
    """The least string that is greater than every string with this prefix; empty when there is none."""
    stem = prefix.rstrip(LAST_CHARACTER)
    if not stem:
        return ""
    # Between U+D7FF and U+E000 lie the surrogates, which are no characters.
    following = "\ue000" if stem[-1] == "\ud7ff" else chr(ord(stem[-1]) + 1)
    return stem[:-1] + following


def _page(query: PageQuery, scan: Callable[[Bound], Iterator[Row]], rows: Iterator[Row]) -> Page:
    found: list[Row] = []
    prefixes: list[str] = []
    if not query.delimiter:
        found.extend(islice(rows, query.limit + 1))
        return _cut(query, found, prefixes)
    below = 0
    row = next(rows, None)
    while row is not None and len(found) + len(prefixes) <= query.limit:
        end = row[0].find(query.delimiter, len(query.prefix))
        if end < 0:
            found.append(row)
        elif not prefixes or not row[0].startswith(prefixes[-1]):
            prefixes.append(row[0][: end + len(query.delimiter)])
            below = 0
        else:
            below += 1
            if below == JUMP_AFTER_KEYS:
                rows = scan(_beyond(prefixes[-1]))
        row = next(rows, None)
    return _cut(query, found, prefixes)


def _cut(query: PageQuery, rows: list[Row], prefixes: list[str]) -> Page:
    """The page without its last line, which only tells that there is more."""
    if len(rows) + len(prefixes) <= query.limit:
        return Page(rows, prefixes, "")
    if _last_is_prefix(rows, prefixes):
        prefixes.pop()
    else:
        rows.pop()
    if _last_is_prefix(rows, prefixes):
        return Page(rows, prefixes, prefixes[-1])
    if not rows:
        return Page(rows, prefixes, "")
    return Page(rows, prefixes, rows[-1][0], rows[-1][-1] if len(rows[-1]) > _KEY_COLUMNS else "")


def _last_is_prefix(rows: list[Row], prefixes: list[str]) -> bool:
    return bool(prefixes) and (not rows or prefixes[-1] > rows[-1][0])


def _first(query: PageQuery) -> Bound:
    """Where the keys of a page begin; what the page before showed as a common prefix does not come again."""
    after, prefix = query.after, query.prefix
    if after < prefix:
        return ">=", prefix
    if query.delimiter and after.startswith(prefix):
        end = after.find(query.delimiter, len(prefix))
        if end >= 0:
            return _beyond(after[: end + len(query.delimiter)])
    return (">", after) if after else (">=", "")


def _beyond(prefix: str) -> Bound:
    beyond = after_all(prefix)
    return (">=", beyond) if beyond else (">", LAST_CHARACTER * MAX_KEY_BYTES)


def _scan(database: Database, statement: str, query: PageQuery, bound: Bound, size: int = FIRST_ROWS) -> Iterator[Row]:
    for limit in _steps(size):
        row: Row = ()
        left = limit
        for row in _fetch(database, statement, query, bound, limit):
            yield row
            left -= 1
        if left:
            return
        if statement is _VERSIONS:
            yield from _earlier(database, query.bucket, row[0], row[_SEQUENCE])
        bound = ">", row[0]


def _first_rows(query: PageQuery) -> int:
    return FIRST_ROWS if query.delimiter else min(query.limit + 1, MOST_ROWS)


def _steps(size: int) -> Iterator[int]:
    while True:
        yield size
        size = min(size * 4, MOST_ROWS)


def _fetch(database: Database, statement: str, query: PageQuery, bound: Bound, rows: int) -> Iterator[Row]:
    comparison, key = bound
    end = after_all(query.prefix)
    condition = f"bucket = ? AND key {comparison} ?" + (" AND key < ?" if end else "")
    parameters: Row = (query.bucket, key, end) if end else (query.bucket, key)
    if statement is _VERSIONS and not database.lazy:
        condition += " ORDER BY key, sequence DESC LIMIT ?"
        parameters = (*parameters, rows)
    sql = statement.format(condition=condition)
    return _fetched(database, sql, (*parameters * statement.count("{condition}"), rows))


def _fetched(database: Database, sql: str, parameters: tuple[object, ...]) -> Iterator[Row]:
    """Rows as they are asked for; ends the statement, and with it the read transaction, when nobody asks on."""
    cursor = database.read(sql, parameters)
    try:
        yield from cursor
    finally:
        cursor.close()


def _rest_of_key(database: Database, query: PageQuery) -> Iterator[Row]:
    """The versions of the key where the page before ended that are earlier than the last one it showed."""
    key = (query.bucket, query.after)
    # Replicas bear the ids of their originals, which tell another order.
    row = database.read(_SEQUENCE_OF, (*key, query.after_version)).fetchone()
    if row is not None:
        before = row[0]
    else:
        before = _NO_SEQUENCE if query.after_version == NULL_VERSION else sequence_of(query.after_version)
    return _earlier(database, *key, before)


def _earlier(database: Database, bucket: str, key: str, before: int) -> Iterator[Row]:
    """The versions of a key that are earlier than one of them."""
    for limit in _steps(FIRST_ROWS):
        left = limit
        for row in _fetched(database, _OF_KEY, (bucket, key, before, limit)):
            yield row
            before = row[_SEQUENCE]
            left -= 1
        if left:
            return


_KEY_COLUMNS = 6
_SEQUENCE = 6
_TELLING = "CASE WHEN instr(meta, '\"StorageClass\"') > 0 THEN meta ELSE '' END"
_OF_KEYS = f"key, size, etag, modified, checksum, {_TELLING}"
_COLUMNS = f"{_OF_KEYS} AS told, sequence, past, deleted, version_id"
# ruff: noqa: S608  # statements are put together from constants only
_KEYS = f"""
SELECT {_OF_KEYS} FROM objects WHERE past = 0 AND deleted = 0 AND {{condition}} ORDER BY key LIMIT ?
"""
_VERSIONS = f"""
SELECT * FROM (SELECT {_COLUMNS} FROM objects WHERE past = 0 AND {{condition}}) AS latest
UNION ALL SELECT * FROM (SELECT {_COLUMNS} FROM objects WHERE past = 1 AND {{condition}}) AS earlier
ORDER BY key, sequence DESC LIMIT ?
"""
_OF_KEY = f"""
SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND past IN (0, 1) AND key = ? AND sequence < ?
ORDER BY sequence DESC LIMIT ?
"""
_SEQUENCE_OF = """
SELECT sequence FROM objects WHERE bucket = ? AND past IN (0, 1) AND key = ? AND version_id = ?
"""
_NO_SEQUENCE = 1 << 62
