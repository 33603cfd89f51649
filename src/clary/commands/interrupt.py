"""`clary interrupt`: take the instances of a managed spot training job away, as AWS does when it needs them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.clock import SystemClock
from clary.commands.home import opened
from clary.commands.subparsers import subparser

if TYPE_CHECKING:
    import argparse

    from clary.commands.home import Home
    from clary.commands.subparsers import Subparsers
    from clary.store.records import Record

KIND = "training-job"
WISH = "Interrupt"
"""Observed member that the controller of training jobs reads."""


def add(commands: Subparsers) -> None:
    """Adds the command."""
    sub = subparser(
        commands, "interrupt", interrupt_command, "Interrupt a managed spot training job, which then goes on by itself."
    )
    sub.add_argument("job", help="the name of the training job, or its ARN")


def interrupt_command(options: argparse.Namespace) -> int:
    """`clary interrupt JOB`: SIGTERM now, SIGKILL two minutes later, then another attempt from the checkpoints."""
    now = SystemClock().now()
    with opened(options) as home:
        job = _named(home, options.job)
        home.records.edit(job, lambda found: replace(found, observed={**found.observed, WISH: now}, due=now))
    print(f"{job.arn} is interrupted")
    return 0


def _named(home: Home, name: str) -> Record:
    """The job, if it is one that AWS would interrupt.

    Raises:
        ValueError: it is not.
    """
    found = home.records.by_arn(name) or home.records.get(KIND, home.settings.account, home.settings.region, name)
    if found is None or found.kind != KIND:
        raise ValueError(f"there is no training job {name}")
    if not found.spec.get("EnableManagedSpotTraining"):
        raise ValueError(f"{name} is no managed spot training job (EnableManagedSpotTraining)")
    if found.status != "InProgress":
        raise ValueError(f"{name} is {found.status}")
    return found
