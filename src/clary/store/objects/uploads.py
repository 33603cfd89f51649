"""Multipart uploads: parts come in any order and at the same time; the object is their list, not a copy of them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from clary.store.database import UNLIMITED
from clary.store.objects.index import drop_parts
from clary.store.objects.version import Content, Meta, Part, Upload, Version, Versioning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clary.store.database import Database
    from clary.store.objects.checksums import Checksum
    from clary.store.objects.index import Condition, Index, NewObject


class UploadQuery(NamedTuple):
    """Which uploads of a bucket to list; `after` is the key and upload id where the page before ended."""

    bucket: str
    prefix: str
    delimiter: str
    after: tuple[str, str]
    limit: int


class UploadPage(NamedTuple):
    """A part of a listing; `last` is its last key (or common prefix) and upload id when more follows."""

    uploads: list[Upload]
    common_prefixes: list[str]
    last: tuple[str, str] | None


class Uploads:
    """The uploads that are under way, and the parts of those that were completed."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    def begin(self, upload: Upload) -> None:
        """Opens an upload."""
        with self._database.write() as connection:
            checksum = f"{upload.algorithm} {upload.checksum_type}"
            row = (upload.upload_id, upload.bucket, upload.key, upload.initiated, upload.initiator, upload.meta_text)
            connection.execute(_BEGIN, (*row, checksum))

    def get(self, bucket: str, key: str, upload_id: str) -> Upload | None:
        """The upload, None when it does not exist or is over."""
        row = self._database.read(f"{_SELECT} WHERE upload_id = ?", (upload_id,)).fetchone()
        return _upload(row) if row and (row[1], row[2]) == (bucket, key) else None

    def page(self, query: UploadQuery) -> UploadPage:
        """Uploads by key, those of one key by age; common prefixes in the place of what they fold."""
        uploads: list[Upload] = []
        prefixes: list[str] = []
        last: tuple[str, str] | None = None
        for upload in self._after(query):
            end = upload.key.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
            folded = upload.key[: end + len(query.delimiter)] if end >= 0 else ""
            if folded and (folded in prefixes[-1:] or query.after[0].startswith(folded)):
                continue
            if len(uploads) + len(prefixes) == query.limit:
                return UploadPage(uploads, prefixes, last)
            if folded:
                prefixes.append(folded)
                last = (folded, "")
            else:
                uploads.append(upload)
                last = (upload.key, upload.upload_id)
        return UploadPage(uploads, prefixes, None)

    def _after(self, query: UploadQuery) -> Iterator[Upload]:
        key, upload_id = query.after
        started = self._database.read("SELECT initiated FROM uploads WHERE upload_id = ?", (upload_id,)).fetchone()
        since = started[0] if started else float("inf")
        place = max((key, since, upload_id), (query.prefix, -1.0, ""))
        while rows := self._database.read(_LIST, (query.bucket, *place, len(query.prefix), query.prefix)).fetchall():
            yield from map(_upload, rows)
            last_id, _, last_key, initiated, *_ = rows[-1]
            place = (last_key, initiated, last_id)

    def put_part(self, upload: Upload, number: int, content: Content, checksum: Checksum | None, now: float) -> bool:
        """Adds a part, or replaces the one of this number; False when the upload is over meanwhile."""
        with self._index.transaction() as transaction:
            connection = transaction.connection
            if connection.execute("SELECT 1 FROM uploads WHERE upload_id = ?", (upload.upload_id,)).fetchone() is None:
                return False
            replaced = connection.execute(_DELETE_PART, (upload.upload_id, number)).fetchall()
            transaction.orphans.extend(row[0] for row in replaced)
            text = str(checksum) if checksum else ""
            row = (upload.upload_id, number, content.size, content.etag, now, text, content.file, content.sealed_key)
            connection.execute(_PUT_PART, row)
        content.kept = True
        return True

    def parts(self, upload_id: str, after: int = 0, limit: int = UNLIMITED) -> list[Part]:
        """The parts in order of their numbers."""
        return [Part(*row) for row in self._database.read(_PARTS, (upload_id, after, limit))]

    def complete(
        self, upload: Upload, new: NewObject, parts: Sequence[Part], versioning: Versioning, condition: Condition | None
    ) -> Version | None:
        """Makes the object of these parts, the others are dropped; None when the upload is over meanwhile."""
        with self._index.transaction() as transaction:
            connection = transaction.connection
            if connection.execute("DELETE FROM uploads WHERE upload_id = ?", (upload.upload_id,)).rowcount != 1:
                return None
            kept = {part.number for part in parts}
            for part in self.parts(upload.upload_id):
                if part.number not in kept:
                    connection.execute(_DELETE_PART, (upload.upload_id, part.number)).fetchall()
                    transaction.orphans.append(part.file)
            return self._index.insert(transaction, new, (None, None, upload.upload_id, None), versioning, condition)

    def abort(self, upload: Upload) -> bool:
        """Ends an upload and drops its parts; False when it was over already."""
        with self._index.transaction() as transaction:
            done = transaction.connection.execute("DELETE FROM uploads WHERE upload_id = ?", (upload.upload_id,))
            if done.rowcount != 1:
                return False
            drop_parts(transaction, upload.upload_id)
        return True

    def abort_all(self, bucket: str) -> None:
        """Ends every upload of a bucket."""
        for upload in self.all_of(bucket):
            self.abort(upload)

    def all_of(self, bucket: str) -> list[Upload]:
        """Every upload of a bucket."""
        return [_upload(row) for row in self._database.read(f"{_SELECT} WHERE bucket = ?", (bucket,)).fetchall()]


def new_upload(bucket: str, key: str, now: float, initiator: str, meta: Meta) -> Upload:
    """An upload that `begin` has not seen yet, without a checksum."""
    return Upload(uuid.uuid4().hex + uuid.uuid4().hex, bucket, key, now, initiator, meta.dump(), "", "")


def _upload(row: tuple[str, str, str, float, str, str, str]) -> Upload:
    *values, checksum = row
    return Upload(*values, *checksum.split(" "))  # type: ignore[arg-type]  # the columns are the fields


# statements are put together from constants only
_SELECT = "SELECT upload_id, bucket, key, initiated, initiator, meta, checksum FROM uploads"
_BEGIN = (
    "INSERT INTO uploads (upload_id, bucket, key, initiated, initiator, meta, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_LIST = f"""
{_SELECT} WHERE bucket = ? AND (key, initiated, upload_id) > (?, ?, ?) AND substr(key, 1, ?) = ?
ORDER BY key, initiated, upload_id LIMIT 1001
"""
_PARTS = """
SELECT number, size, etag, modified, checksum, file, sealed_key FROM parts
WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?
"""
_PUT_PART = """
INSERT INTO parts (upload_id, number, size, etag, modified, checksum, file, sealed_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_DELETE_PART = "DELETE FROM parts WHERE upload_id = ? AND number = ? RETURNING file"
