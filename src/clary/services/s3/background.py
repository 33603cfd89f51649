"""What a bucket has done beside its requests: one record for each purpose, which a controller finds due."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.store.records import Record

if TYPE_CHECKING:
    from datetime import datetime

    from clary.platform import Platform


def wake(platform: Platform, kind: str, bucket: Record, now: datetime) -> None:
    """Makes the work of this kind for a bucket begin afresh; the record is made when it is not there."""
    with platform.objects.index.transaction():
        record = platform.records.get(kind, bucket.account, "", bucket.name)
        if record is None:
            platform.records.create(Record(kind, bucket.account, "", bucket.name, "", {}, now, now, due=now))
        else:
            platform.records.edit(record, lambda found: replace(found, observed={}, modified=now, due=now))
