"""`clary policy from-usage`: the least-privilege policy of a user or role, from what it did."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.audit.usage import POLICY_CHARACTERS, Usage, from_usage
from clary.auth import entities
from clary.clock import SystemClock
from clary.commands.home import opened
from clary.commands.subparsers import subparser
from clary.store.audit import Search

if TYPE_CHECKING:
    import argparse

    from clary.commands.home import Home
    from clary.commands.subparsers import Subparsers

DAYS = 90


def add(commands: Subparsers) -> None:
    """Adds the command."""
    sub = subparser(commands, "policy", policy_command, "Write the policy that allows what a user or role really did.")
    sub.add_argument("what", choices=["from-usage"], help="from what to make it: the calls in the audit log")
    sub.add_argument("entity", metavar="USER|ROLE", help="the name of a user or role, or its ARN")
    sub.add_argument("--days", type=int, default=DAYS, help=f"how many days of use count (default {DAYS})")
    sub.add_argument("--json", action="store_true", help="print the policy alone")


def policy_command(options: argparse.Namespace) -> int:
    """`clary policy from-usage USER|ROLE`: print the policy."""
    with opened(options) as home:
        arn = _arn(home, options.entity)
        since = SystemClock().now() - timedelta(days=options.days)
        usage = from_usage(home.audit.all(Search(entity=arn, since=since)))
    if not usage.policy["Statement"]:
        raise ValueError(f"{arn} used nothing in the last {options.days} days that its own policies had to allow")
    if not options.json:
        print(_summary(arn, usage, options.days))
    print(json.dumps(usage.policy, indent=2))
    return 0


def _arn(home: Home, entity: str) -> str:
    if entity.startswith("arn:"):
        return entity
    found = [home.records.get(kind, home.settings.account, "", entity) for kind in (entities.USER, entities.ROLE)]
    arns = [record.arn for record in found if record is not None]
    if len(arns) != 1:
        raise ValueError(f"there is {'both a' if arns else 'no'} user {'and a' if arns else 'or'} role {entity}")
    return arns[0]


def _summary(arn: str, usage: Usage, days: int) -> str:
    lines = [
        f"{arn} made {usage.calls} calls in the last {days} days, with {usage.permissions} different permissions.",
        *(f"A policy of the resource itself allows {each}." for each in usage.elsewhere),
    ]
    if usage.characters > POLICY_CHARACTERS:
        lines.append(f"The policy has {usage.characters} characters; a managed policy may have {POLICY_CHARACTERS}.")
    return "\n".join([*lines, ""])
