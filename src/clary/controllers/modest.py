"""Work that can wait leaves room for what users wait for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from threading import Semaphore

    from clary.controllers.loop import Controller
    from clary.store.records import Record

PAUSE = timedelta(seconds=0.5)


class Modest:
    """A controller that takes a step only while few others like it do; `room` counts them, and is shared by them."""

    def __init__(self, controller: Controller, room: Semaphore) -> None:
        self.kind = controller.kind
        self._controller = controller
        self._room = room

    def step(self, record: Record, now: datetime) -> Record | None:
        """The controller's step, or the wish to come again soon."""
        if not self._room.acquire(blocking=False):
            return replace(record, due=now + PAUSE)
        try:
            return self._controller.step(record, now)
        finally:
            self._room.release()

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """What the controller makes of it."""
        return self._controller.give_up(record, now, reason)
