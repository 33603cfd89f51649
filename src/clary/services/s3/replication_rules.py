"""Which replication rules a bucket takes.

The texts are those of answers of AWS; what is allowed is in "Replication configuration file elements", Amazon S3 user
guide.
"""

from __future__ import annotations

import itertools
import uuid
from base64 import b64encode
from typing import TYPE_CHECKING

from clary.errors import NotSupported
from clary.services.s3.errors import InvalidArgument, InvalidRequest, MalformedXML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.services.service import Document, Members

MAX_RULES = 1000
MAX_ID = 255

_GUIDE = "Please refer to S3 Developer Guide for more information."
_ABSENT = (
    ("ExistingObjectReplication", ("ExistingObjectReplication",)),
    ("SseKmsEncryptedObjects", ("SourceSelectionCriteria", "SseKmsEncryptedObjects")),
    ("ReplicaModifications", ("SourceSelectionCriteria", "ReplicaModifications")),
    ("ReplicationTime", ("Destination", "ReplicationTime")),
    ("Metrics", ("Destination", "Metrics")),
)
"""What rules may turn on that Clary does not do, and where it stands."""


def checked(rules: Sequence[Members]) -> list[Document]:
    """The rules as they are kept, with an id each.

    Raises:
        MalformedXML: an element is missing, or stands where it must not.
        InvalidArgument: a value is not possible.
        InvalidRequest: rules do not fit together.
        NotSupported: a rule asks for something that Clary does not do.
    """
    if not 0 < len(rules) <= MAX_RULES:
        raise MalformedXML
    for rule in rules:
        _check(rule)
    _check_together(rules)
    return [{**rule, "ID": rule.get("ID") or b64encode(str(uuid.uuid4()).encode()).decode()} for rule in rules]


def _check(rule: Members) -> None:
    if rule.get("Status") not in ("Enabled", "Disabled") or ("Filter" in rule) == ("Prefix" in rule):
        raise MalformedXML
    if len(rule.get("ID") or "") > MAX_ID:
        raise InvalidArgument("Rule Id cannot be greater than 255")
    if "Filter" in rule:
        _check_filtered(rule)
    _refuse_absent(rule)


def _check_filtered(rule: Members) -> None:
    """Rules with a filter, those of the second form, must say more than those without."""
    for member in ("Priority", "DeleteMarkerReplication"):
        if member not in rule:
            raise InvalidRequest(
                f"{member} must be specified for this version of Cross Region Replication configuration schema. "
                f"{_GUIDE}"
            )
    if rule["Priority"] < 0:
        raise InvalidArgument("Priority must be a nonnegative integer", "Priority", rule["Priority"])
    filter_ = rule["Filter"]
    both = filter_.get("And")
    if len(filter_) > 1 or (both is not None and len(both) + max(len(both.get("Tags") or ()) - 1, 0) < 2):
        raise MalformedXML
    tagged = "Tag" in filter_ or bool((both or {}).get("Tags"))
    if tagged and rule["DeleteMarkerReplication"].get("Status") == "Enabled":
        raise InvalidRequest(f"Delete marker replication is not supported if any Tag filter is specified. {_GUIDE}")


def _refuse_absent(rule: Members) -> None:
    for name, place in _ABSENT:
        found: Members = rule
        for member in place:
            found = found.get(member) or {}
        if found.get("Status") == "Enabled":
            raise NotSupported(f"Clary does not support {name} in replication rules.")
    if rule["Destination"].get("EncryptionConfiguration"):
        raise NotSupported("Clary does not support EncryptionConfiguration in replication rules.")


def _check_together(rules: Sequence[Members]) -> None:
    ids = [rule["ID"] for rule in rules if rule.get("ID")]
    if len(set(ids)) < len(ids):
        raise InvalidRequest("Rule Id must be unique")
    if len({"Filter" in rule for rule in rules}) > 1:
        raise InvalidRequest("Rules with a Filter and rules with a Prefix cannot be specified together.")
    for one, other in itertools.combinations(rules, 2):
        if "Filter" in one:
            if one["Priority"] == other["Priority"]:
                raise InvalidRequest(f"Found rules with the same priority {one['Priority']}; it must be unique.")
        elif one["Prefix"].startswith(other["Prefix"]) or other["Prefix"].startswith(one["Prefix"]):
            raise InvalidRequest(f"Found overlapping prefixes '{one['Prefix']}' and '{other['Prefix']}'")
