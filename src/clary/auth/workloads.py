"""The runs of workloads: credentials that were handed to one end with it."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.store.records import Record, Records

SECRET = "CredentialsSecret"  # noqa: S105  # the name of a member
"""Observed member that holds the password with which a workload asks for its credentials; every run has its own."""

_ENDED = frozenset(("Completed", "CompletedWithViolations", "Failed", "Stopped", "stopped", "terminated"))
"""Statuses of records, of whatever kind, whose workload does not run any more."""


def run_of(record: Record) -> str:
    """What names the present run of a record's workload: the record, and a trace of the run's password."""
    trace = hashlib.sha256(str(record.observed.get(SECRET, "")).encode()).hexdigest()[:16]
    return "/".join((record.kind, record.account, record.region, record.name, trace))


def kind_of(run: str) -> str:
    """The kind of the record to which a run belongs."""
    return run.partition("/")[0]


def goes_on(records: Records, run: str) -> bool:
    """Whether a run has not ended, nor its record been removed or started anew."""
    kind, account, region, name, _ = run.split("/")
    record = records.get(kind, account, region, name)
    if record is None or record.status in _ENDED or SECRET not in record.observed:
        return False
    return hmac.compare_digest(run_of(record), run)
