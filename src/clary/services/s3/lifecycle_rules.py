"""Which lifecycle rules a bucket takes.

The texts are those of answers of AWS; what is allowed is in "Lifecycle configuration elements", Amazon S3 user guide.
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from itertools import chain
from typing import TYPE_CHECKING

from clary.services.s3.errors import InvalidArgument, InvalidRequest, MalformedXML
from clary.store.objects.lifecycle import COLDNESS, STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from clary.services.service import Document, Members

MAX_RULES = 1000
MAX_ID = 255
MAX_NEWER = 100
MAX_SIZE_BYTES = 1_099_511_627_776
INFREQUENT_ACCESS_DAYS = 30
CLASSES = frozenset(COLDNESS) - {STANDARD, "REDUCED_REDUNDANCY"}

_ACTIONS = (
    "Expiration",
    "Transitions",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransitions",
    "AbortIncompleteMultipartUpload",
)


def checked(rules: Sequence[Members]) -> list[Document]:
    """The rules as they are kept: with an id each, and dates as text.

    Raises:
        MalformedXML: an element is missing, or stands where it must not.
        InvalidArgument: a value is not possible.
        InvalidRequest: actions or filters do not fit together.
    """
    if not 0 < len(rules) <= MAX_RULES:
        raise MalformedXML
    _check_ids(rules)
    _check_prefixes(rules)
    return [_kept(rule) for rule in rules]


def _kept(rule: Members) -> Document:
    if rule.get("Status") not in ("Enabled", "Disabled"):
        raise MalformedXML
    _check_filter(rule)
    if not any(rule.get(action) is not None for action in _ACTIONS):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    _check_expiration(rule)
    _check_noncurrent(rule)
    _check_transitions(rule)
    _check_abort(rule)
    kept = {**rule, "ID": rule.get("ID") or b64encode(str(uuid.uuid4()).encode()).decode()}
    if "Date" in (rule.get("Expiration") or {}):
        kept["Expiration"] = _dated(rule["Expiration"])
    if rule.get("Transitions"):
        kept["Transitions"] = [_dated(transition) for transition in rule["Transitions"]]
    return kept


def _dated(action: Members) -> Document:
    return {**action, "Date": action["Date"].isoformat()} if "Date" in action else dict(action)


def _check_ids(rules: Iterable[Members]) -> None:
    ids = [rule["ID"] for rule in rules if rule.get("ID")]
    if any(len(each) > MAX_ID for each in ids):
        raise InvalidArgument(f"ID length should not exceed allowed limit of {MAX_ID}")
    if len(set(ids)) < len(ids):
        raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule")


def _check_prefixes(rules: Iterable[Members]) -> None:
    """Rules of the first form, with a prefix but no filter, may not stand beside others, nor share a prefix."""
    old = [rule["Prefix"] or "" for rule in rules if "Prefix" in rule]
    if old and any("Filter" in rule for rule in rules):
        raise InvalidRequest(
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter."
        )
    for prefix in old:
        if old.count(prefix) > 1:
            raise InvalidRequest(f"Found two rules with same prefix '{prefix}'")


def _check_filter(rule: Members) -> None:
    if ("Filter" in rule) == ("Prefix" in rule):
        raise MalformedXML
    filter_ = rule.get("Filter") or {}
    both = filter_.get("And")
    if len(filter_) > 1 or (both is not None and len(both) + max(len(both.get("Tags") or ()) - 1, 0) < 2):
        raise MalformedXML
    least, most = _sizes(rule)
    if least is not None and not 0 <= least <= MAX_SIZE_BYTES:
        raise InvalidRequest("'ObjectSizeGreaterThan' should be between 0 and 1099511627776.")
    if most is not None and not 1 <= most <= MAX_SIZE_BYTES:
        raise InvalidRequest("'ObjectSizeLessThan' should be between 1 and 1099511627776.")
    if least is not None and most is not None and least >= most:
        raise InvalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")


def _check_expiration(rule: Members) -> None:
    action = rule.get("Expiration")
    if action is None:
        return
    if len(action) != 1:
        raise MalformedXML
    if "Days" in action:
        _check_positive(action, "Days", "Expiration")
    if "Date" in action:
        _check_midnight(action["Date"])
    if "ExpiredObjectDeleteMarker" in action:
        _check_unfiltered(rule, "ExpiredObjectDeleteMarker")


def _check_noncurrent(rule: Members) -> None:
    action = rule.get("NoncurrentVersionExpiration")
    if action is None:
        return
    if "NoncurrentDays" not in action:
        raise MalformedXML
    _check_positive(action, "NoncurrentDays", "NoncurrentVersionExpiration")
    _check_newer(action, "NoncurrentVersionExpiration")


def _check_transitions(rule: Members) -> None:
    transitions = rule.get("Transitions") or []
    past = rule.get("NoncurrentVersionTransitions") or []
    for action in transitions:
        if ("Days" in action) == ("Date" in action):
            raise MalformedXML
        if "Date" in action:
            _check_midnight(action["Date"])
        _check_class(action, "Days", "Transition")
    for action in past:
        if "NoncurrentDays" not in action:
            raise MalformedXML
        _check_class(action, "NoncurrentDays", "NoncurrentVersionTransition")
        _check_newer(action, "NoncurrentVersionTransition")
    for name, actions in (("Transition", transitions), ("NoncurrentVersionTransition", past)):
        if len({action["StorageClass"] for action in actions}) < len(actions):
            raise InvalidRequest(
                f"'StorageClass' must be different for '{name}' actions in same 'Rule' with {_told(rule)}"
            )
    _check_order(rule, transitions)


def _check_order(rule: Members, transitions: Sequence[Members]) -> None:
    """What expires does so after it has changed its class."""
    expiration = {name: value for name, value in (rule.get("Expiration") or {}).items() if name in ("Days", "Date")}
    kinds = {name for name in ("Days", "Date") for action in chain((expiration,), transitions) if name in action}
    if len(kinds) > 1:
        raise InvalidRequest(
            f"Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for {_told(rule)}"
        )
    for name, value in expiration.items():
        if any(value <= action[name] for action in transitions):
            later = "greater" if name == "Days" else "later"
            raise InvalidArgument(
                f"'{name}' in the Expiration action for filter '({_filter(rule)})' must be {later} than '{name}' "
                "in the Transition action"
            )


def _check_abort(rule: Members) -> None:
    action = rule.get("AbortIncompleteMultipartUpload")
    if action is None:
        return
    if "DaysAfterInitiation" not in action:
        raise MalformedXML
    _check_positive(action, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
    _check_unfiltered(rule, "AbortIncompleteMultipartUpload")


def _check_positive(action: Members, member: str, name: str) -> None:
    if action[member] <= 0:
        raise InvalidArgument(f"'{member}' for {name} action must be a positive integer", member, action[member])


def _check_newer(action: Members, name: str) -> None:
    if "NewerNoncurrentVersions" in action:
        _check_positive(action, "NewerNoncurrentVersions", name)
        if action["NewerNoncurrentVersions"] > MAX_NEWER:
            raise InvalidArgument(f"'NewerNoncurrentVersions' for {name} action must be at most {MAX_NEWER}")


def _check_class(action: Members, member: str, name: str) -> None:
    storage_class = action.get("StorageClass")
    if storage_class not in CLASSES:
        raise MalformedXML
    days = action.get(member, INFREQUENT_ACCESS_DAYS)
    if days < 0:
        raise InvalidArgument(f"'{member}' for {name} action must be nonnegative", member, days)
    if storage_class in ("STANDARD_IA", "ONEZONE_IA") and days < INFREQUENT_ACCESS_DAYS:
        raise InvalidArgument(
            f"'{member}' in {name} action must be greater than or equal to {INFREQUENT_ACCESS_DAYS} for storageClass "
            f"'{storage_class}'"
        )


def _check_midnight(date: datetime) -> None:
    if (date.hour, date.minute, date.second, date.microsecond) != (0, 0, 0, 0):
        raise InvalidArgument("'Date' must be at midnight GMT")


def _check_unfiltered(rule: Members, action: str) -> None:
    filter_ = rule.get("Filter") or {}
    both = filter_.get("And") or filter_
    if "Tag" in both or both.get("Tags"):
        raise InvalidRequest(f"{action} cannot be specified with Tags.")
    if _sizes(rule) != (None, None):
        raise InvalidRequest(f"{action} cannot be specified with Object Size.")


def _sizes(rule: Members) -> tuple[int | None, int | None]:
    filter_ = rule.get("Filter") or {}
    both = filter_.get("And") or filter_
    return both.get("ObjectSizeGreaterThan"), both.get("ObjectSizeLessThan")


def _told(rule: Members) -> str:
    return f"prefix '{rule['Prefix']}'" if rule.get("Prefix") else f"filter '({_filter(rule)})'"


def _filter(rule: Members) -> str:
    """A filter as messages tell it: `prefix=logs/ and tag: key=a, value=b`."""
    filter_ = rule.get("Filter") or {}
    both = filter_.get("And") or filter_
    parts = [f"prefix={rule.get('Prefix') or both.get('Prefix') or ''}"]
    tags = both.get("Tags") or ([both["Tag"]] if "Tag" in both else [])
    parts += [f"tag: key={tag['Key']}, value={tag['Value']}" for tag in tags]
    return " and ".join(parts)
