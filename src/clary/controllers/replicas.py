"""Where replicas are made: what the two ways have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from clary.store.objects import Meta, Version
    from clary.store.objects.events import Pending
    from clary.store.records import Record

COMPLETED = "COMPLETED"
REPLICA = "REPLICA"


class Refused(Exception):
    """The replica cannot be made, now or later."""


class Replicas(Protocol):
    """The bucket that receives replicas."""

    bucket: Record | None
    """Its record when it is one of this platform."""

    def make(self, version: Version, event: Pending) -> None:
        """Makes the replica that an event asks for and notes on the original that it is complete.

        Raises:
            Refused: it cannot be done.
            Unreachable: the endpoint does not answer.
            Failed: it cannot be done now.
        """
        ...

    def close(self) -> None:
        """Ends connections."""
        ...


def complete(meta: Meta, arn: str) -> None:
    """Notes on an original that this replica is there."""
    if arn in meta.replication:
        meta.replication[arn] = COMPLETED
