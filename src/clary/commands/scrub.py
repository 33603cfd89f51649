"""`clary scrub`: read every object again and compare it with what is known of it."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from clary.commands.subparsers import subparser
from clary.errors import ServiceError
from clary.settings import load
from clary.store.engines import open_database
from clary.store.keyring import Keyring
from clary.store.objects.opening import open_objects
from clary.store.objects.scrub import Finding, Scrub

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from clary.commands.subparsers import Subparsers
    from clary.store.objects import Objects


def add(commands: Subparsers) -> None:
    """Adds the command."""
    text = "Read all objects again, and tell which are damaged or missing; the platform may run meanwhile."
    sub = subparser(commands, "scrub", scrub_command, text)
    sub.add_argument("bucket", nargs="?", default="", help="check this bucket only, and look for no orphans")
    sub.add_argument("--json", action="store_true", help="print one JSON document rather than lines")
    sub.add_argument("--remove-orphans", action="store_true", help="remove content files that no object names")


def scrub_command(options: argparse.Namespace) -> int:
    """`clary scrub`: 0 when every object is whole, 1 when one is not."""
    counts = {"Objects": 0, "Bytes": 0, "Sealed": 0, "Damaged": 0, "Missing": 0, "Orphaned": 0, "Removed": 0}
    findings: list[Finding] = []
    with _opened(options) as objects:
        for finding in _findings(Scrub(objects), options.bucket, counts):
            counts[finding.problem.capitalize()] += 1
            findings.append(finding)
            if not options.json:
                print(_line(finding))
        if options.remove_orphans:
            orphans = [finding.file for finding in findings if finding.problem == "orphaned"]
            objects.sweeper.remove(orphans)
            counts["Removed"] = len(orphans)
    if options.json:
        print(json.dumps({**counts, "Findings": [dataclasses.asdict(finding) for finding in findings]}, indent=2))
    else:
        print(_summary(counts))
    return 1 if counts["Damaged"] or counts["Missing"] else 0


def _findings(scrub: Scrub, bucket: str, counts: dict[str, int]) -> Iterator[Finding]:
    for checked in scrub.objects(bucket):
        counts["Objects"] += 1
        counts["Bytes"] += checked.size
        counts["Sealed"] += checked.sealed
        yield from checked.findings
    if not bucket:
        yield from scrub.orphans()


def _line(finding: Finding) -> str:
    if finding.problem == "orphaned":
        return f"orphaned  {finding.file}: {finding.detail}"
    version = f", version {finding.version_id}" if finding.version_id not in ("", "null") else ""
    part = f", part {finding.part}" if finding.part else ""
    return f"{finding.problem:<9} s3://{finding.bucket}/{finding.key}{version}{part}: {finding.detail}"


def _summary(counts: dict[str, int]) -> str:
    lines = [
        f"{counts['Objects']} objects with {counts['Bytes']} bytes: {counts['Damaged']} damaged, "
        f"{counts['Missing']} missing; {counts['Orphaned']} orphaned files, {counts['Removed']} of them removed"
    ]
    if counts["Sealed"]:
        lines.append(f"Of {counts['Sealed']} objects only the size was compared: they take the keys of customers.")
    return "\n".join(lines)


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Objects]:
    settings = load(os.environ, home=options.home)
    keyring = Keyring.at(settings.key_path)
    try:
        with closing(open_database(settings)) as database:
            objects = open_objects(settings, database, keyring)
            with closing(objects):
                yield objects
    except ServiceError as error:
        raise ValueError(f"{error.code}: {error.message}") from error
