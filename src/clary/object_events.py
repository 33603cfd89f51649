"""What happens to objects, told to those who asked for it.

A bucket asks by its notification configuration: topics, queues and functions get S3's event messages, subscribers
within the platform get the events that Amazon EventBridge would. Who tells an event does so within the transaction of
the change (`Index.transaction`); a bucket that asks for nothing costs nothing.

A subscriber is a record of the kind SUBSCRIBER: its name is the subscriber's, its spec may name a record to wake:
`{"Wake": [kind, account, region, name]}`. It finds its events with
`platform.objects.events.pending(bucket, subscriber(name), limit)` for the buckets that
`Events.targets` tells, and forgets each with `Events.done` once it has acted on it. Source of the messages: "Event
message structure" and "EventBridge event message structure", Amazon S3 user guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from clary.store.records import Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from clary.context import Context
    from clary.platform import Platform
    from clary.store.objects import Version
    from clary.store.records import Record

NOTIFICATION = "bucket-notification"
"""Kind of the record that is due while a bucket has something to tell."""

SUBSCRIBER = "object-event-subscriber"
NOTIFY = "notify "
"""Begins the target of an event that a topic, queue or function is to be told."""

DESTINATIONS: Mapping[str, str] = {
    "TopicConfigurations": "TopicArn",
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}

_VERSIONS = {"Replication": "2.2", "LifecycleExpiration": "2.3", "LifecycleTransition": "2.3", "ObjectTagging": "2.3",
             "ObjectAcl": "2.3"}  # fmt: skip

_DETAILS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "ObjectCreated:Put": ("Object Created", {"reason": "PutObject"}),
    "ObjectCreated:Post": ("Object Created", {"reason": "POST Object"}),
    "ObjectCreated:Copy": ("Object Created", {"reason": "CopyObject"}),
    "ObjectCreated:CompleteMultipartUpload": ("Object Created", {"reason": "CompleteMultipartUpload"}),
    "ObjectRemoved:Delete": ("Object Deleted", {"reason": "DeleteObject", "deletion-type": "Permanently Deleted"}),
    "ObjectRemoved:DeleteMarkerCreated": (
        "Object Deleted",
        {"reason": "DeleteObject", "deletion-type": "Delete Marker Created"},
    ),
    "LifecycleExpiration:Delete": (
        "Object Deleted",
        {"reason": "Lifecycle Expiration", "deletion-type": "Permanently Deleted"},
    ),
    "LifecycleExpiration:DeleteMarkerCreated": (
        "Object Deleted",
        {"reason": "Lifecycle Expiration", "deletion-type": "Delete Marker Created"},
    ),
    "LifecycleTransition": ("Object Storage Class Changed", {}),
    "ObjectRestore:Post": ("Object Restore Initiated", {}),
    "ObjectRestore:Completed": ("Object Restore Completed", {}),
    "ObjectTagging:Put": ("Object Tags Added", {}),
    "ObjectTagging:Delete": ("Object Tags Deleted", {}),
    "ObjectAcl:Put": ("Object ACL Updated", {}),
}
"""How EventBridge names the events of S3, and what their details tell besides."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to an object: `name` as in messages, without the `s3:` that configurations have."""

    name: str
    key: str
    at: datetime
    principal_id: str
    request_id: str = ""
    source_ip: str = ""
    version_id: str = ""
    """Empty in a bucket that never had versions."""
    size: int | None = None
    etag: str = ""

    @classmethod
    def of(cls, ctx: Context, name: str, key: str, version: Version | None, *, versioned: bool) -> Happening:
        """What a request did to a version, or to a key of which no version is left."""
        lasting = version is not None and not name.endswith(":Delete")
        return cls(
            name, key, ctx.now, f"AWS:{ctx.principal.user_id}", ctx.request_id, ctx.source_ip,
            version_id=version.version_id if version is not None and versioned else "",
            size=version.size if version is not None and lasting and not version.deleted else None,
            etag=version.etag.strip('"') if version is not None and lasting else "",
        )  # fmt: skip

    @classmethod
    def by_platform(cls, name: str, version: Version, at: datetime, version_id: str) -> Happening:
        """What S3 did by itself."""
        return cls(name, version.key, at, "s3.amazonaws.com", "", "s3.amazonaws.com", version_id, version.size,
                   version.etag.strip('"'))  # fmt: skip


def asks(bucket: Record) -> bool:
    """Whether anybody wants to hear what happens in a bucket."""
    return bool(bucket.spec.get("NotificationConfiguration"))


def tell(platform: Platform, bucket: Record, happening: Happening) -> None:
    """Writes down who is to be told; call it within the transaction of the change."""
    configuration = bucket.spec.get("NotificationConfiguration")
    if not configuration:
        return
    events = platform.objects.events
    # Writers come one after the other, so the time within a transaction tells their order.
    sequencer = f"{int(platform.clock.now().timestamp() * 1_000_000):018X}"
    told = False
    for arn, configuration_id in interested(configuration, happening):
        message = {"Records": [_message(bucket, happening, configuration_id, sequencer)]}
        events.add((bucket.name, NOTIFY + arn, happening.key), message, happening.at.timestamp())
        told = True
    if told:
        platform.records.touch(NOTIFICATION, bucket.account, "", bucket.name, happening.at)
    if "EventBridgeConfiguration" in configuration and happening.name in _DETAILS:
        _tell_subscribers(platform, bucket, happening, sequencer)


def interested(configuration: Mapping[str, Any], happening: Happening) -> Iterator[tuple[str, str]]:
    """The destinations that want to hear of it: their ARNs, and the ids of their configurations."""
    for member, arn in DESTINATIONS.items():
        for each in configuration.get(member) or ():
            if any(covers(pattern, f"s3:{happening.name}") for pattern in each["Events"]) and _passes(
                each, happening.key
            ):
                yield each[arn], each["Id"]


def covers(pattern: str, name: str) -> bool:
    """Whether the name of an event, or a wildcard that ends with `*`, means another one."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def affixes(configuration: Mapping[str, Any]) -> tuple[str, str]:
    """The prefix and the suffix that the filter of a configuration asks for."""
    rules = ((configuration.get("Filter") or {}).get("Key") or {}).get("FilterRules") or ()
    found = {rule["Name"].lower(): rule["Value"] for rule in rules}
    return found.get("prefix", ""), found.get("suffix", "")


def subscriber(name: str) -> str:
    """The target of events for a subscriber."""
    return f"subscriber {name}"


def _passes(configuration: Mapping[str, Any], key: str) -> bool:
    prefix, suffix = affixes(configuration)
    return key.startswith(prefix) and key.endswith(suffix)


def _message(bucket: Record, happening: Happening, configuration_id: str, sequencer: str) -> dict[str, Any]:
    subject: dict[str, Any] = {"key": quote_plus(happening.key, safe="/")}
    if happening.size is not None:
        subject["size"] = happening.size
    if happening.etag:
        subject["eTag"] = happening.etag
    if happening.version_id:
        subject["versionId"] = happening.version_id
    return {
        "eventVersion": _VERSIONS.get(happening.name.partition(":")[0], "2.1"),
        "eventSource": "aws:s3",
        "awsRegion": bucket.spec["Region"],
        "eventTime": happening.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": happening.name,
        "userIdentity": {"principalId": happening.principal_id},
        "requestParameters": {"sourceIPAddress": happening.source_ip},
        "responseElements": {"x-amz-request-id": happening.request_id, "x-amz-id-2": happening.request_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": bucket.account}, "arn": bucket.arn},
            "object": {**subject, "sequencer": sequencer},
        },
    }


def _tell_subscribers(platform: Platform, bucket: Record, happening: Happening, sequencer: str) -> None:
    """Hands the event to everybody in the account who takes EventBridge's place."""
    for record in platform.records.all(Query(SUBSCRIBER, bucket.account)):
        event = _bridged(bucket, happening, sequencer)
        place = (bucket.name, subscriber(record.name), happening.key)
        platform.objects.events.add(place, event, happening.at.timestamp())
        if "Wake" in record.spec:
            kind, account, region, name = record.spec["Wake"]
            platform.records.touch(kind, account, region, name, happening.at)


def _bridged(bucket: Record, happening: Happening, sequencer: str) -> dict[str, Any]:
    """An event as EventBridge carries those of S3; its keys are not encoded."""
    kind, told = _DETAILS[happening.name]
    subject: dict[str, Any] = {"key": happening.key, "sequencer": sequencer}
    if happening.size is not None:
        subject["size"] = happening.size
    if happening.etag:
        subject["etag"] = happening.etag
    if happening.version_id:
        subject["version-id"] = happening.version_id
    return {
        "version": "0",
        "id": f"{happening.request_id or bucket.name}-{sequencer}",
        "detail-type": kind,
        "source": "aws.s3",
        "account": bucket.account,
        "time": happening.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "region": bucket.spec["Region"],
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": subject,
            "request-id": happening.request_id,
            "requester": happening.principal_id,
            "source-ip-address": happening.source_ip,
            **told,
        },
    }
