"""`clary explain`: why a call was allowed or refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clary.audit.explanation import explain
from clary.audit.telling import as_json, as_text
from clary.commands.home import opened
from clary.commands.subparsers import subparser
from clary.errors import AccessDenied
from clary.store.audit import Search

if TYPE_CHECKING:
    import argparse

    from clary.commands.subparsers import Subparsers
    from clary.store.audit import Event, Index

LAST = "last"


def add(commands: Subparsers) -> None:
    """Adds the command."""
    parser = subparser(
        commands, "explain", explain_command, "Tell why a call was allowed or refused, and what would allow it."
    )
    parser.add_argument(
        "request", nargs="?", default=LAST, metavar="REQUEST-ID",
        help="the id of the request, which errors and answers carry (default: the last call that was refused)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def explain_command(options: argparse.Namespace) -> int:
    """`clary explain REQUEST-ID`: the explanation of one call."""
    with opened(options) as home:
        explanation = explain(_event(home.audit, options.request), home.records)
    print(json.dumps(as_json(explanation), indent=2, default=str) if options.json else as_text(explanation))
    return 0


def _event(audit: Index, request: str) -> Event:
    event = next(iter(audit.search(Search(code=AccessDenied.code, limit=1)).events), None) if request == LAST else None
    event = event or audit.get(request)
    if event is None:
        asked = "no call was refused yet" if request == LAST else f"there is no request {request} in the audit log"
        raise ValueError(asked)
    return event
