"""The lifecycle rules of a bucket: which versions they mean, and from when on.

Nothing here has an effect; a controller does what `due` tells. Source: "Lifecycle configuration elements" and "Managing
the lifecycle of objects", Amazon S3 user guide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from clary.store.objects.uploads import UploadQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clary.store.objects.uploads import Uploads
    from clary.store.objects.version import Upload, Version

DAY_S = 86_400

STANDARD = "STANDARD"
COLDNESS: Mapping[str, int] = {
    STANDARD: 0,
    "REDUCED_REDUNDANCY": 0,
    "STANDARD_IA": 1,
    "INTELLIGENT_TIERING": 2,
    "ONEZONE_IA": 3,
    "GLACIER_IR": 4,
    "GLACIER": 5,
    "DEEP_ARCHIVE": 6,
}
"""Transitions lead from a class to a colder one only."""

ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
SMALL_BYTES = 128 << 10
"""Smaller objects change their class only when the filter of a rule speaks of sizes."""

VARIES = "varies_by_storage_class"


@dataclass(frozen=True, slots=True)
class Rule:
    """One enabled rule; `actions` are its members as AWS spells them."""

    id: str
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    larger_than: int | None = None
    smaller_than: int | None = None
    actions: Mapping[str, Any] = field(default_factory=dict)
    small_archives: bool = False
    """Whether objects of any size go to an archive, as they did before September 2024."""

    def means(self, version: Version) -> bool:
        """Whether its filter lets a version pass; delete markers have neither tags nor a size."""
        if not version.key.startswith(self.prefix):
            return False
        if version.deleted:
            return not self.narrow
        return self._fits(version.size) and (not self.tags or self.tags.items() <= version.meta.tags.items())

    @property
    def narrow(self) -> bool:
        """Whether its filter asks for more than a prefix."""
        return bool(self.tags) or self.larger_than is not None or self.smaller_than is not None

    def moves(self, version: Version, storage_class: str) -> bool:
        """Whether an object is large enough to be worth another class."""
        sized = self.larger_than is not None or self.smaller_than is not None
        archived = self.small_archives and storage_class in ARCHIVES
        return sized or archived or version.size >= SMALL_BYTES

    def _fits(self, size: int) -> bool:
        return (self.larger_than is None or size > self.larger_than) and (
            self.smaller_than is None or size < self.smaller_than
        )


class Due(NamedTuple):
    """One thing to do: an action of a rule, and the version it is for."""

    action: str
    rule: str
    version: Version
    storage_class: str = ""


def rules(spec: Mapping[str, Any]) -> list[Rule]:
    """The enabled rules among the settings of a bucket; none count where versions go by a code of a device only."""
    configuration = spec.get("LifecycleConfiguration")
    if not configuration or spec.get("Versioning", {}).get("MFADelete") == "Enabled":
        return []
    small_archives = spec.get("TransitionDefaultMinimumObjectSize") == VARIES
    return [
        _rule(document, small_archives=small_archives)
        for document in configuration["Rules"]
        if document["Status"] == "Enabled"
    ]


def expiration(found: Iterable[Rule], version: Version) -> tuple[datetime, str] | None:
    """When the current version of a key expires, and by which rule; None: it never does."""
    ends = [
        (when, rule.id)
        for rule in found
        if rule.means(version) and (when := _when(rule.actions.get("Expiration"), version.modified)) is not None
    ]
    return min(ends, default=None)


def due(found: Sequence[Rule], versions: Iterable[Version], now: datetime) -> Iterator[Due]:
    """What is to be done with the versions of one key, given from the latest to the earliest."""
    remaining = iter(versions)
    newer = next(remaining)
    second = next(remaining, None)
    yield from _current(found, newer, now, alone=second is None)
    past = second
    count = 0
    while past is not None:
        yield from _noncurrent(found, past, newer.modified, count, now)
        newer, past, count = past, next(remaining, None), count + 1


def abort(found: Iterable[Rule], key: str, initiated: float) -> tuple[datetime, str] | None:
    """When an upload that is still under way is given up, and by which rule."""
    ends = [
        (_after(initiated, rule.actions["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]), rule.id)
        for rule in found
        if "AbortIncompleteMultipartUpload" in rule.actions and key.startswith(rule.prefix)
    ]
    return min(ends, default=None)


def overdue(uploads: Uploads, bucket: str, found: Sequence[Rule], now: datetime) -> Iterator[tuple[Upload, str]]:
    """The uploads that are given up by now, each with its rule; asked for page by page."""
    after: tuple[str, str] | None = ("", "")
    while after is not None:
        page = uploads.page(UploadQuery(bucket, "", "", after, 1000))
        for upload in page.uploads:
            end = abort(found, upload.key, upload.initiated)
            if end is not None and end[0] <= now:
                yield upload, end[1]
        after = page.last


def _rule(document: Mapping[str, Any], *, small_archives: bool) -> Rule:
    filter_ = document.get("Filter") or {}
    both = filter_.get("And") or filter_
    tags = both.get("Tags") or ([both["Tag"]] if "Tag" in both else [])
    return Rule(
        id=document["ID"],
        prefix=document.get("Prefix") or both.get("Prefix") or "",
        tags={tag["Key"]: tag["Value"] for tag in tags},
        larger_than=both.get("ObjectSizeGreaterThan"),
        smaller_than=both.get("ObjectSizeLessThan"),
        actions=document,
        small_archives=small_archives,
    )


def _current(found: Sequence[Rule], version: Version, now: datetime, *, alone: bool) -> Iterator[Due]:
    meant = [rule for rule in found if rule.means(version)]
    if version.deleted:
        if alone:
            yield from _lonely_marker(meant, version, now)
        return
    end = expiration(meant, version)
    if end is not None and end[0] <= now:
        yield Due("Expiration", end[1], version)
        return
    wanted = [
        (transition["StorageClass"], rule)
        for rule in meant
        for transition in rule.actions.get("Transitions") or ()
        if _passed(_when(transition, version.modified), now)
    ]
    yield from _transition("Transition", wanted, version)


def _lonely_marker(meant: Sequence[Rule], version: Version, now: datetime) -> Iterator[Due]:
    """A delete marker with no version behind it goes at once, or with its age where the rule counts days."""
    for rule in meant:
        action = rule.actions.get("Expiration") or {}
        if action.get("ExpiredObjectDeleteMarker") or _passed(_when(action, version.modified), now):
            yield Due("ExpiredObjectDeleteMarker", rule.id, version)
            return


def _noncurrent(found: Sequence[Rule], version: Version, since: float, newer: int, now: datetime) -> Iterator[Due]:
    """A past version; `since`: when its successor came; `newer`: how many past ones are later than it."""

    def passed(action: Mapping[str, Any] | None) -> bool:
        if not action or newer < action.get("NewerNoncurrentVersions", 0):
            return False
        return _after(since, action.get("NoncurrentDays", 0)) <= now

    meant = [rule for rule in found if rule.means(version)]
    for rule in meant:
        if passed(rule.actions.get("NoncurrentVersionExpiration")):
            yield Due("NoncurrentVersionExpiration", rule.id, version)
            return
    if not version.deleted:
        wanted = [
            (transition["StorageClass"], rule)
            for rule in meant
            for transition in rule.actions.get("NoncurrentVersionTransitions") or ()
            if passed(transition)
        ]
        yield from _transition("NoncurrentVersionTransition", wanted, version)


def _transition(action: str, wanted: Sequence[tuple[str, Rule]], version: Version) -> Iterator[Due]:
    """The coldest of the classes that are due, when it is colder than the present one."""
    possible = [(COLDNESS[name], name, rule.id) for name, rule in wanted if rule.moves(version, name)]
    if possible:
        coldness, name, rule_id = max(possible)
        if coldness > COLDNESS.get(version.meta.headers.get("StorageClass", STANDARD), 0):
            yield Due(action, rule_id, version, name)


def _when(action: Mapping[str, Any] | None, modified: float) -> datetime | None:
    """The moment that Days or Date of an action mean for an object of that age."""
    if action and "Days" in action:
        return _after(modified, action["Days"])
    if action and "Date" in action:
        return datetime.fromisoformat(action["Date"])
    return None


def _after(start: float, days: int) -> datetime:
    """So many days later, rounded up to midnight UTC."""
    return datetime.fromtimestamp(0, UTC) + timedelta(days=ceil(start / DAY_S + days))


def _passed(when: datetime | None, now: datetime) -> bool:
    return when is not None and when <= now
