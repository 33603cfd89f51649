"""What keeps a version from being deleted: retention until a date, and a legal hold.

Source: "Locking objects with Object Lock", Amazon S3 user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.errors import AccessDenied
from clary.store.objects.version import Meta

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

GOVERNANCE = "GOVERNANCE"
COMPLIANCE = "COMPLIANCE"


class Locked(AccessDenied):
    """A lock protects the version."""

    code = "AccessDenied"

    def __init__(self) -> None:
        super().__init__("Access Denied because object protected by object lock.")


def refuse_locked(meta_text: str, now: float, *, bypass: bool = False) -> None:
    """Accepts a version that nothing protects at `now`; `bypass` passes over retention in governance mode.

    Raises:
        Locked: something does.
    """
    # Few versions are locked; the others need not be read.
    if '"lock"' in meta_text and _holds(Meta.load(meta_text).lock, now, bypass=bypass):
        raise Locked


def retained(lock: Mapping[str, Any], now: float) -> bool:
    """Whether retention has not ended yet."""
    return bool(lock.get("RetainUntil", 0.0) > now)


def _holds(lock: Mapping[str, Any], now: float, *, bypass: bool) -> bool:
    if lock.get("LegalHold"):
        return True
    return retained(lock, now) and not (bypass and lock["Mode"] == GOVERNANCE)
