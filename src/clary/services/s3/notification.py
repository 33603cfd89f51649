"""Event notifications: who is to be told what happens in a bucket.

Topics, queues and functions are ARNs that the owner of the platform has registered as webhooks (`clary destination`).
"""

from __future__ import annotations

import itertools
import uuid
from base64 import b64encode
from typing import TYPE_CHECKING

from clary import arn as arns
from clary.destinations import Destinations
from clary.object_events import DESTINATIONS, NOTIFICATION, NOTIFY, affixes, covers
from clary.services.s3.background import wake
from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import InvalidArgument, MalformedXML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

EVENTS = frozenset(
    {
        "s3:IntelligentTiering",
        "s3:LifecycleExpiration:*",
        "s3:LifecycleExpiration:Delete",
        "s3:LifecycleExpiration:DeleteMarkerCreated",
        "s3:LifecycleTransition",
        "s3:ObjectAcl:Put",
        "s3:ObjectCreated:*",
        "s3:ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectCreated:Copy",
        "s3:ObjectCreated:Post",
        "s3:ObjectCreated:Put",
        "s3:ObjectRemoved:*",
        "s3:ObjectRemoved:Delete",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "s3:ObjectRestore:*",
        "s3:ObjectRestore:Completed",
        "s3:ObjectRestore:Delete",
        "s3:ObjectRestore:Post",
        "s3:ObjectTagging:*",
        "s3:ObjectTagging:Delete",
        "s3:ObjectTagging:Put",
        "s3:ReducedRedundancyLostObject",
        "s3:Replication:*",
        "s3:Replication:OperationFailedReplication",
        "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationNotTracked",
        "s3:Replication:OperationReplicatedAfterThreshold",
    }
)
"""Source: "Supported event types for SQS, SNS, and Lambda", Amazon S3 user guide."""

MAX_AFFIX_BYTES = 1024

_NOUNS: Mapping[str, tuple[str, str]] = {
    "TopicConfigurations": ("sns", "topic"),
    "QueueConfigurations": ("sqs", "queue"),
    "LambdaFunctionConfigurations": ("lambda", "Lambda function"),
}


class Notification:
    """The notification configuration of a bucket; a controller delivers the messages."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_notification_configuration(
        self, ctx: Context, request: api.PutBucketNotificationConfigurationRequest
    ) -> None:
        """Replaces the configuration; every destination gets a test message, as on AWS."""
        bucket = bucket_of(self._platform, request)
        configuration = _checked(request["NotificationConfiguration"])
        if not request.get("SkipDestinationValidation"):
            self._refuse_unknown(configuration)
        with self._platform.objects.index.transaction():
            edit(self._platform, bucket, ctx, lambda spec: spec.update(NotificationConfiguration=configuration))
            self._send_tests(ctx, bucket, configuration)
            wake(self._platform, NOTIFICATION, bucket, ctx.now)

    def get_bucket_notification_configuration(
        self, _: Context, request: api.GetBucketNotificationConfigurationRequest
    ) -> Document:
        """The configuration; empty when there is none."""
        return dict(bucket_of(self._platform, request).spec.get("NotificationConfiguration", {}))

    # What these came before has their address, and so answers them.
    put_bucket_notification = put_bucket_notification_configuration
    get_bucket_notification = get_bucket_notification_configuration

    def _refuse_unknown(self, configuration: Members) -> None:
        """Accepts destinations that the owner of the platform has registered."""
        destinations = Destinations(self._platform.records, self._platform.keyring, self._platform.settings.account)
        for member, name in DESTINATIONS.items():
            for each in configuration.get(member) or ():
                if not destinations.knows(each[name]):
                    noun = _NOUNS[member][1]
                    raise InvalidArgument(
                        "Unable to validate the following destination configurations",
                        each[name],
                        f"The destination {noun} does not exist",
                    )

    def _send_tests(self, ctx: Context, bucket: Record, configuration: Members) -> None:
        message = {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": ctx.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "Bucket": bucket.name,
            "RequestId": ctx.request_id,
            "HostId": ctx.request_id,
        }
        for arn in sorted({each[name] for name, each in _each(configuration)}):
            self._platform.objects.events.add((bucket.name, NOTIFY + arn, ""), message, ctx.now.timestamp())


def _each(configuration: Members) -> list[tuple[str, Members]]:
    """All configurations, with the names of the members that hold their ARNs."""
    return [(name, each) for member, name in DESTINATIONS.items() for each in configuration.get(member) or ()]


def _checked(configuration: Members) -> Document:
    """The configuration as it is kept: with an id for each of its parts.

    Raises:
        MalformedXML: a part names no events.
        InvalidArgument: an event, filter or ARN is not possible, or parts overlap.
    """
    kept: Document = {}
    for member, name in DESTINATIONS.items():
        parts = configuration.get(member)
        if parts:
            kept[member] = [_checked_part(each, name, _NOUNS[member][0]) for each in parts]
    if "EventBridgeConfiguration" in configuration:
        kept["EventBridgeConfiguration"] = {}
    parts = [each for _, each in _each(kept)]
    if len({each["Id"] for each in parts}) < len(parts):
        raise InvalidArgument("Same ID used for multiple configurations. IDs must be unique.")
    _refuse_overlap(parts)
    return kept


def _checked_part(part: Members, name: str, service: str) -> Document:
    if not part.get("Events"):
        raise MalformedXML
    for event in part["Events"]:
        if event not in EVENTS:
            raise InvalidArgument("The event is not supported for notifications", "Event", event)
    try:
        known = arns.split(part[name]).service == service
    except ValueError:
        known = False
    if not known:
        raise InvalidArgument("The ARN is not well formed", name, part[name])
    _check_filter(part)
    return {**part, "Id": part.get("Id") or b64encode(str(uuid.uuid4()).encode()).decode()}


def _check_filter(part: Members) -> None:
    rules = ((part.get("Filter") or {}).get("Key") or {}).get("FilterRules") or []
    names = [str(rule.get("Name", "")).lower() for rule in rules]
    for rule, name in zip(rules, names, strict=True):
        if name not in ("prefix", "suffix"):
            raise InvalidArgument(
                "filter rule name must be either prefix or suffix", "FilterRule.Name", rule.get("Name")
            )
        if names.count(name) > 1:
            raise InvalidArgument(f"Cannot specify more than one {name} rule in a filter.", "FilterRule", name)
        if len(str(rule.get("Value", "")).encode()) > MAX_AFFIX_BYTES:
            raise InvalidArgument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")


def _refuse_overlap(parts: Sequence[Members]) -> None:
    """No object may concern two parts that speak of a common event."""
    for one, other in itertools.combinations(parts, 2):
        if not any(covers(a, b) or covers(b, a) for a in one["Events"] for b in other["Events"]):
            continue
        (prefix, suffix), (other_prefix, other_suffix) = affixes(one), affixes(other)
        prefixes = prefix.startswith(other_prefix) or other_prefix.startswith(prefix)
        if prefixes and (suffix.endswith(other_suffix) or other_suffix.endswith(suffix)):
            raise InvalidArgument(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type."
            )
