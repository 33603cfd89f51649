"""`clary lifecycle`: what the lifecycle rules of a bucket would do now, or have it done."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clary.clock import SystemClock
from clary.commands.subparsers import subparser
from clary.settings import load
from clary.store.engines import open_database
from clary.store.keyring import Keyring
from clary.store.objects import lifecycle
from clary.store.objects.opening import open_objects
from clary.store.records import Records

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from clary.commands.subparsers import Subparsers
    from clary.store.objects import Objects
    from clary.store.records import Record

WAIT_S = 600.0
KIND = "bucket-lifecycle"


def add(commands: Subparsers) -> None:
    """Adds the command."""
    sub = subparser(
        commands, "lifecycle", lifecycle_command, "Tell what the lifecycle rules of a bucket do now, or have it done."
    )
    sub.add_argument("bucket", help="the name of the bucket")
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("--dry-run", action="store_true", help="print what would be done, and by which rule")
    what.add_argument(
        "--now", action="store_true", help="have the running platform do it, without waiting for midnight"
    )
    sub.add_argument("--json", action="store_true", help="print JSON, one object for each line")


def lifecycle_command(options: argparse.Namespace) -> int:
    """`clary lifecycle BUCKET`: print or do what is due."""
    with _opened(options) as (records, objects):
        bucket = records.by_arn(f"arn:aws:s3:::{options.bucket}")
        if bucket is None:
            raise ValueError(f"there is no bucket {options.bucket}")
        nothing = True
        for each in _planned(objects, bucket) if options.dry_run else [_done(records, bucket)]:
            nothing = False
            print(json.dumps(each) if options.json else _line(each))
        if nothing and not options.json:
            print("nothing is due")
    return 0


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[tuple[Records, Objects]]:
    settings = load(os.environ, home=options.home)
    database = open_database(settings)
    try:
        yield Records(database), open_objects(settings, database, Keyring.at(settings.key_path))
    finally:
        database.close()


def _planned(objects: Objects, bucket: Record) -> Iterator[dict[str, Any]]:
    """What is due now."""
    rules, now = lifecycle.rules(bucket.spec), SystemClock().now()
    if not rules:
        return
    for key, versions in objects.by_key(bucket.name):
        for due in lifecycle.due(rules, versions, now):
            told = {"Action": due.action, "Rule": due.rule, "Key": key, "VersionId": due.version.version_id}
            yield {**told, "StorageClass": due.storage_class} if due.storage_class else told
    for upload, rule in lifecycle.overdue(objects.uploads, bucket.name, rules, now):
        told = {"Action": "AbortIncompleteMultipartUpload", "Rule": rule, "Key": upload.key}
        yield {**told, "UploadId": upload.upload_id}


def _done(records: Records, bucket: Record) -> dict[str, Any]:
    """Has the platform make a pass; tells how often it did what.

    Raises:
        ValueError: the bucket has no rules, or nobody does it.
    """
    record = records.get(KIND, bucket.account, "", bucket.name)
    if record is None or not lifecycle.rules(bucket.spec):
        raise ValueError(f"the bucket {bucket.name} has no lifecycle rules that are enabled")
    now = SystemClock().now()
    records.edit(record, lambda found: replace(found, due=now, observed={}))
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        record = records.get(KIND, bucket.account, "", bucket.name)
        if record is not None and "Finished" in record.observed:
            finished = datetime.fromtimestamp(record.observed["Finished"], UTC).isoformat(timespec="seconds")
            return {"Finished": finished, **record.observed["LastDone"]}
        time.sleep(0.1)
    raise ValueError("it was not done in time; does the platform run? It will be done when it does")


def _line(told: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in told.items())
