"""`clary audit`: who did what, and whether the log is as it was written."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clary.audit.record import record
from clary.clock import SystemClock
from clary.commands.home import opened
from clary.commands.subparsers import subparser
from clary.store.audit import Search, verify

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from clary.commands.home import Home
    from clary.commands.subparsers import Subparsers
    from clary.store.audit import Event

_SPAN = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add(commands: Subparsers) -> None:
    """Adds the command."""
    sub = subparser(commands, "audit", audit_command, "Tell who asked the platform for what, the newest call first.")
    sub.add_argument("--user", default="", help="calls of this user, or of this session of a role")
    sub.add_argument("--role", default="", metavar="ARN", help="calls of all sessions of this role")
    sub.add_argument("--key", default="", help="calls with this access key")
    sub.add_argument("--service", default="", help="calls of one service, e.g. s3")
    sub.add_argument("--operation", default="", help="calls of one operation, e.g. PutObject")
    sub.add_argument("--resource", default="", help="calls about an ARN or a name; PREFIX* for all that begin so")
    sub.add_argument("--error", default="", metavar="CODE", help="calls that ended with this error, e.g. AccessDenied")
    sub.add_argument("--failed", action="store_true", help="calls that ended with an error")
    sub.add_argument("--since", default="", help="calls since a time (2026-01-31, 2026-01-31T10:00) or span (90m, 2d)")
    sub.add_argument("--limit", type=int, default=50, help="how many calls at most (default 50)")
    sub.add_argument("--json", action="store_true", help="print CloudTrail records, one for each line")
    sub.add_argument("--verify", action="store_true", help="tell instead whether the log is as it was written")


def audit_command(options: argparse.Namespace) -> int:
    """`clary audit`: print the calls that fit."""
    with opened(options) as home:
        if options.verify:
            return _verify(home)
        events = itertools.islice(home.audit.all(_search(options)), options.limit)
        for line in map(json.dumps, map(record, events)) if options.json else _lines(events):
            print(line)
    return 0


def _search(options: argparse.Namespace) -> Search:
    return Search(
        username=options.user,
        entity=options.role,
        access_key=options.key,
        source=f"{options.service}.amazonaws.com" if options.service else "",
        operation=options.operation,
        resource=options.resource,
        code=options.error,
        failed=True if options.failed else None,
        since=_since(options.since),
    )


def _since(text: str) -> datetime | None:
    """The beginning of a span that ends now, or a time."""
    span = _SPAN.fullmatch(text)
    if span is not None:
        return SystemClock().now() - timedelta(**{_UNITS[span[2]]: int(span[1])})
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lines(events: Iterable[Event]) -> Iterable[str]:
    for event in events:
        who = event.who.username or event.who.name or event.who.key or "-"
        what = f"{event.source.partition('.')[0]}:{event.operation}"
        on = next(iter(event.resources), "-")
        when = f"{event.moment:%Y-%m-%d %H:%M:%S}"
        yield f"{when}  {who:<20} {what:<34} {event.code or event.status:<20} {on}  {event.id}"


def _verify(home: Home) -> int:
    known = home.audit.known()
    if home.settings.database:  # it knows the segments of other machines too
        known = {name: read for name, read in known.items() if list(home.audit.folder.glob(f"{name}*"))}
    found = verify(home.audit.folder, known)
    print(f"{found.events} events in {found.segments} segment{'' if found.segments == 1 else 's'}")
    if found.lost:
        print(f"{found.lost} calls could not be written because the disk was full")
    for damage in found.damages:
        print(f"DAMAGED {damage.segment} at byte {damage.position}: {damage.reason}")
    if not found.damages:
        print("nothing was changed or removed")
    return 1 if found.damages else 0
