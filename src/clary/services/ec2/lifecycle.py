"""Instances started, stopped, rebooted and terminated: wishes that the controller fulfils."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.controllers.states import INSTANCE, transition

from . import kinds
from .errors import IncorrectInstanceState, MissingParameter, OperationNotPermitted
from .instance_shape import state
from .instance_types import launchable_type, require_sandboxes
from .resources import Family

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record


class Lifecycle(Family):
    """All instances of a call are checked before the first is changed."""

    def start_instances(self, ctx: Context, request: Document) -> Document:
        """Boots stopped instances from the disk they have kept."""

        require_sandboxes(self._platform)

        def start(record: Record) -> Record:
            if record.status in {"pending", "running"}:
                return record
            if record.status != "stopped":
                raise _not_in_a_state(record, "started")
            launchable_type(record.spec["InstanceType"])
            observed = {
                key: value
                for key, value in record.observed.items()
                if key not in {"StateReason", "StateTransitionReason", "FailureReason"}
            }
            record = replace(record, observed={**observed, "LaunchTime": ctx.now})
            return replace(transition(INSTANCE, record, "pending", ctx.now), due=ctx.now)

        return {"StartingInstances": self._change(ctx, request, start)}

    def stop_instances(self, ctx: Context, request: Document) -> Document:
        """Ends what runs on the instances; their disks stay."""

        def stop(record: Record) -> Record:
            if record.status in {"stopping", "stopped"}:
                return record
            if record.status != "running":
                raise _not_in_a_state(record, "stopped")
            if record.spec.get("DisableApiStop"):
                raise _protected(record, "stopped", "disableApiStop")
            record = _by_user(record, ctx)
            if request.get("Force"):
                record = replace(record, observed={**record.observed, "Force": True})
            return replace(transition(INSTANCE, record, "stopping", ctx.now), due=ctx.now)

        return {"StoppingInstances": self._change(ctx, request, stop)}

    def terminate_instances(self, ctx: Context, request: Document) -> Document:
        """Ends instances and removes their disks; they can be described for another hour."""

        def terminate(record: Record) -> Record:
            if record.status in {"shutting-down", "terminated"}:
                return record
            if record.spec.get("DisableApiTermination"):
                raise _protected(record, "terminated", "disableApiTermination")
            return replace(transition(INSTANCE, _by_user(record, ctx), "shutting-down", ctx.now), due=ctx.now)

        return {"TerminatingInstances": self._change(ctx, request, terminate)}

    def reboot_instances(self, ctx: Context, request: Document) -> None:
        """Starts what runs on the instances anew; their state does not change."""

        def reboot(record: Record) -> Record:
            if record.status != "running":
                raise IncorrectInstanceState(
                    f"This instance '{record.name}' is not in a state from which it can be rebooted."
                )
            return replace(record, observed={**record.observed, "Reboot": True}, due=ctx.now)

        self._change(ctx, request, reboot)

    def _change(self, ctx: Context, request: Document, change: Callable[[Record], Record]) -> list[Document]:
        if not request["InstanceIds"]:
            raise MissingParameter("The request must contain the parameter InstanceIds")
        records = self._resources.select(ctx, kinds.INSTANCE, request["InstanceIds"])
        for record in records:
            change(record)
        return [self._change_one(record, change) for record in records]

    def _change_one(self, record: Record, change: Callable[[Record], Record]) -> Document:
        if change(record) is record:
            after = record
        else:
            after = self._resources.records.edit(record, change)
        return {
            "InstanceId": record.name,
            "PreviousState": state(record.status),
            "CurrentState": state(after.status),
        }


def _by_user(record: Record, ctx: Context) -> Record:
    text = "User initiated shutdown"
    reason = {"Code": "Client.UserInitiatedShutdown", "Message": f"Client.UserInitiatedShutdown: {text}"}
    told = f"User initiated ({ctx.now:%Y-%m-%d %H:%M:%S} GMT)"
    return replace(record, observed={**record.observed, "StateReason": reason, "StateTransitionReason": told})


def _not_in_a_state(record: Record, wish: str) -> IncorrectInstanceState:
    return IncorrectInstanceState(f"The instance '{record.name}' is not in a state from which it can be {wish}.")


def _protected(record: Record, wish: str, attribute: str) -> OperationNotPermitted:
    return OperationNotPermitted(
        f"The instance '{record.name}' may not be {wish}. Modify its '{attribute}' instance attribute and try again."
    )
