"""The policy that allows what somebody really did, and no more."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.auth.decision import PolicyKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clary.store.audit import Event

POLICY_CHARACTERS = 6144
"""The most that a managed policy may have, blanks not counted. Source: "IAM and AWS STS quotas", IAM user guide."""

SEVERAL = 5
"""More resources of one kind than this are told by what their names begin with."""

_STAMPED = re.compile(r"([^/:]*?-)\d{4}-?\d{2}-?\d{2}[^/:]*|([^/:]*?-)\d{10,}[^/:]*")
"""A name that ends with the time at which it was made, as the SageMaker SDK names jobs: the next one has another."""

_BUCKET = "arn:aws:s3:::"
_OTHERS = {PolicyKind.RESOURCE.value, PolicyKind.TRUST.value}


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used, and the policy that allows it."""

    calls: int
    permissions: int
    """Different pairs of action and resource."""
    policy: dict[str, Any]
    elsewhere: tuple[str, ...] = ()
    """What the policies of resources allowed by themselves, so that it needs no place in this one."""

    @property
    def characters(self) -> int:
        """How long the policy is, as quotas count."""
        return len("".join(json.dumps(self.policy, separators=(",", ":")).split()))


Used = dict[tuple[str, str], set[str]]
"""Resources by action and the service to which a role was passed."""


def from_usage(events: Iterable[Event]) -> Usage:
    """The policy for the calls that were allowed among these events."""
    used: Used = defaultdict(set)
    elsewhere: set[str] = set()
    calls = 0
    for event in events:
        calls += 1
        for check in _allowed(event):
            if check["kind"] in _OTHERS:
                elsewhere.add(f"{check['action']} on {check['resource']}")
            else:
                used[check["action"], check.get("passed", "")].add(check["resource"])
    permissions = sum(map(len, used.values()))
    usage = Usage(calls, permissions, _policy(used, SEVERAL), tuple(sorted(elsewhere)))
    if usage.characters <= POLICY_CHARACTERS:
        return usage
    return Usage(calls, permissions, _policy(used, 1), usage.elsewhere)


def _allowed(event: Event) -> Iterator[Mapping[str, Any]]:
    """The permissions that a call used; those that nobody needs have no statement."""
    for check in event.checks:
        if not check.get("refused") and "statement" in check:
            yield check


def _policy(used: Used, several: int) -> dict[str, Any]:
    together: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for (action, passed), resources in used.items():
        together[action.partition(":")[0], passed, tuple(grouped(resources, several))].add(action)
    statements = [
        _statement(number, service, passed, sorted(actions), resources)
        for number, ((service, passed, resources), actions) in enumerate(sorted(together.items()), start=1)
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(
    number: int, service: str, passed: str, actions: Sequence[str], resources: Sequence[str]
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": f"{re.sub('[^A-Za-z0-9]', '', service).capitalize()}Statement{number}",
        "Effect": "Allow",
        "Action": _one_or_all(actions),
        "Resource": _one_or_all(resources),
    }
    if passed:
        statement["Condition"] = {"StringEquals": {"iam:PassedToService": passed}}
    return statement


def _one_or_all(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def grouped(resources: Iterable[str], several: int = SEVERAL) -> list[str]:
    """The resources, or what they begin with where there are many of a kind."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for resource in resources:
        head, name = _split(_STAMPED.sub(lambda found: f"{found[1] or found[2]}*", resource))
        kinds[head].add(name)
    return sorted({head + name for head, names in kinds.items() for name in _begins(names, several)})


def _split(arn: str) -> tuple[str, str]:
    """What names of a kind have in common in their ARNs, and the name: the key of an object, the name of a job."""
    if arn.startswith(_BUCKET):
        bucket, slash, key = arn.partition("/")
        return bucket + slash, key
    head, separator, name = arn.rpartition("/")
    return head + separator, name


def _begins(names: set[str], several: int) -> Iterable[str]:
    if len(names) <= several:
        return names
    folders = {name.rpartition("/")[0] for name in names}
    if len(folders) <= several and "" not in folders:
        return {f"{folder}/*" for folder in folders if not _covered(folder, folders)}
    return {f"{_common(names)}*"}


def _covered(folder: str, folders: set[str]) -> bool:
    """Whether a folder lies in another one of them."""
    return any(folder != other and folder.startswith(f"{other}/") for other in folders)


def _common(names: set[str]) -> str:
    """What all names begin with; a `*` in one of them ends it."""
    first, last = min(names), max(names)
    length = next((place for place, (one, two) in enumerate(zip(first, last, strict=False)) if one != two), len(first))
    return first[:length].partition("*")[0]
