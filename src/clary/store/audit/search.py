"""Questions to the index of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from clary.store.audit.event import Event

Cursor = tuple[int, str]
"""Time and id of the last event of a page."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which events to find; what is not set narrows nothing. Newest first."""

    id: str = ""
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Included."""
    source: str = ""
    """As CloudTrail has it: `s3.amazonaws.com`."""
    operation: str = ""
    entity: str = ""
    """The ARN of the user, or of the role of a session."""
    username: str = ""
    access_key: str = ""
    resource: str = ""
    """An ARN, or the name in it; what ends with `*` stands for all that begin so."""
    resource_type: str = ""
    """As CloudTrail has it: `AWS::S3::Bucket`."""
    code: str = ""
    """An error code."""
    failed: bool | None = None
    read_only: bool | None = None
    management: bool | None = None
    after: Cursor | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Events found, and where to go on when there may be more."""

    events: Sequence[Event]
    next: Cursor | None = None


_LAST = "\U0010ffff"
"""Sorts behind every character of a name."""


def conditions(search: Search) -> tuple[str, list[object]]:
    """The SQL condition of a search, and its parameters."""
    terms = [*_columns(search), *_times(search), *_resources(search)]
    if search.failed is not None:
        terms.append(("code <> ?" if search.failed else "code = ?", [""]))
    text = " AND ".join(term for term, _ in terms)
    return text or "1 = 1", [value for _, values in terms for value in values]


Term = tuple[str, list[object]]


def _columns(search: Search) -> Iterator[Term]:
    for column in ("id", "account", "source", "operation", "entity", "username", "access_key", "code"):
        if wanted := getattr(search, column):
            yield f"{column} = ?", [wanted]
    for column in ("read_only", "management"):
        if (flag := getattr(search, column)) is not None:
            yield f"{column} = ?", [int(flag)]


def _times(search: Search) -> Iterator[Term]:
    if search.since:
        yield "time >= ?", [int(search.since.timestamp() * 1000)]
    if search.until:
        yield "time <= ?", [int(search.until.timestamp() * 1000)]
    if search.after:
        yield "(time, id) < (?, ?)", [*search.after]


def _resources(search: Search) -> Iterator[Term]:
    chosen = "(resource {0} OR id IN (SELECT id FROM audit_resources WHERE name {0}))"
    wanted = search.resource
    if wanted.endswith("*"):
        span = [wanted[:-1], wanted[:-1] + _LAST] * 2
        yield chosen.format("BETWEEN ? AND ?"), [*span]
    elif wanted:
        yield chosen.format("= ?"), [wanted, wanted]
    if search.resource_type:
        yield "id IN (SELECT id FROM audit_resources WHERE type = ?)", [search.resource_type]
