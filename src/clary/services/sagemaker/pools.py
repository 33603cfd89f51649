"""What the operations of training jobs tell of warm pools, and what they refuse because of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary import warm_pools
from clary.errors import ValidationException

from .errors import ResourceInUse

if TYPE_CHECKING:
    from datetime import datetime

    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record


def told(ctx: Context, record: Record) -> Document:
    """The status of a pool that is still kept, with how long it has been so far."""
    if warm_pools.status(record) != "Available":
        return {}
    retained = {"ResourceRetainedBillableTimeInSeconds": warm_pools.retained_s(record, ctx.now)}
    return {warm_pools.STATUS: {**record.observed[warm_pools.STATUS], **retained}}


def wanted(request: Document) -> tuple[tuple[str, str], ...]:
    """Which training jobs ListTrainingJobs shall tell."""
    status = request.get("WarmPoolStatusEquals")
    return ((f"{warm_pools.STATUS}.Status", status),) if status else ()


def refuse_kept(record: Record) -> None:
    """Refuses to delete a job whose instances are kept.

    Raises:
        ResourceInUse: they are.
    """
    if warm_pools.status(record) == "Available":
        raise ResourceInUse(f"The training job {record.name} retains an Available warm pool; terminate it first.")


def prolonged(record: Record, seconds: int, now: datetime) -> Record:
    """The record of a job whose instances are kept for another time than it asked for.

    Raises:
        ValidationException: they are not kept any more, or not yet.
    """
    if warm_pools.status(record) != "Available":
        raise ValidationException(
            f"The KeepAlivePeriodInSeconds of the training job {record.name} cannot be updated: its warm pool is not "
            "Available."
        )
    return warm_pools.prolonged(record, seconds, now)
