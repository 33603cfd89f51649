"""Which objects of a bucket are replicated, and what is to be done for it.

What is due is written down in the transaction of the change; a controller does it. Source: "Replicating objects" and
"What does Amazon S3 replicate?", Amazon S3 user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Meta, Version
    from clary.store.records import Record

CONFIGURATION = "ReplicationConfiguration"
KIND = "bucket-replication"
REPLICATE = "replicate "
"""Begins the target of an event that a replica follows; the ARN of the bucket ends it."""

PENDING, COMPLETED, FAILED, REPLICA = "PENDING", "COMPLETED", "FAILED", "REPLICA"


def status(meta: Meta) -> str:
    """What the header `x-amz-replication-status` tells of an object: with several replicas, how it stands with all."""
    states = meta.replication.values()
    return next((each for each in (REPLICA, FAILED, PENDING) if each in states), COMPLETED)


def mark(bucket: Record, key: str, meta: Meta) -> None:
    """Notes on a new object that it will be replicated, if a rule wants it."""
    configuration = bucket.spec.get(CONFIGURATION)
    # Of what S3 does not encrypt with its own keys, replicas must be asked for; Clary refuses those rules.
    if configuration and not meta.customer_key and not _with_kms(meta):
        meta.replication = dict.fromkeys(_chosen(configuration, key, meta.tags), PENDING)


def enqueue(platform: Platform, bucket: Record, version: Version, what: str, now: datetime) -> None:
    """Has the replicas of a version made (`version`), or their tags brought up to date (`description`)."""
    configuration = bucket.spec[CONFIGURATION]
    meta = version.meta
    wanted = _chosen(configuration, version.key, meta.tags)
    for destination in meta.replication:
        if destination in wanted:
            _add(platform, bucket, version, _task(configuration, wanted[destination], what, version), now)


def enqueue_marker(platform: Platform, bucket: Record, marker: Version, now: datetime) -> None:
    """Has a delete marker follow, where rules say so; those without a filter always do."""
    configuration = bucket.spec[CONFIGURATION]
    for rule in _chosen(configuration, marker.key, {}).values():
        told = (rule.get("DeleteMarkerReplication") or {}).get("Status")
        if told == "Enabled" or (told is None and "Filter" not in rule):
            _add(platform, bucket, marker, _task(configuration, rule, "marker", marker), now)


def _chosen(configuration: Members, key: str, tags: Mapping[str, str]) -> dict[str, Members]:
    """The rules that mean an object, one for each bucket: that of the highest priority."""
    found: dict[str, Members] = {}
    for rule in sorted(configuration["Rules"], key=lambda rule: rule.get("Priority", 0)):
        if rule["Status"] == "Enabled" and _means(rule, key, tags):
            found[rule["Destination"]["Bucket"]] = rule
    return found


def _means(rule: Members, key: str, tags: Mapping[str, str]) -> bool:
    filter_ = rule.get("Filter") or {}
    both = filter_.get("And") or filter_
    wanted = both.get("Tags") or ([both["Tag"]] if "Tag" in both else [])
    prefix = rule.get("Prefix") or both.get("Prefix") or ""
    return key.startswith(prefix) and all(tags.get(tag["Key"]) == tag["Value"] for tag in wanted)


def _task(configuration: Members, rule: Members, what: str, version: Version) -> Document:
    return {
        "What": what,
        "VersionId": version.version_id,
        "Role": configuration["Role"],
        "Rule": rule["ID"],
        "Destination": rule["Destination"]["Bucket"],
        "StorageClass": rule["Destination"].get("StorageClass", ""),
    }


def _add(platform: Platform, bucket: Record, version: Version, task: Document, now: datetime) -> None:
    place = (bucket.name, REPLICATE + task["Destination"], version.key)
    platform.objects.events.add(place, task, now.timestamp())
    platform.records.touch(KIND, bucket.account, "", bucket.name, now)


def _with_kms(meta: Meta) -> bool:
    return str(meta.headers.get("ServerSideEncryption", "")).startswith("aws:kms")
