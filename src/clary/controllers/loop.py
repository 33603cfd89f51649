"""The one loop: lease what is due, let its controller take a step, store the outcome."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from clary.store.database import DatabaseError, Unavailable
from clary.store.records import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clary.clock import Clock
    from clary.store.records import Record, Records

LEASE_S = 3600.0
"""Longer than any step; a restart of the process frees all leases."""

IDLE_S = 1.0
"""How long what other processes made due may go unseen."""

RETRY_S = 2.0
PATIENCE = 5

OWNER = "TuningJobArn"
"""Observed member that names the record which waits for this one to end."""

log = logging.getLogger(__name__)


class Controller(Protocol):
    """Brings the records of one kind to their desired state."""

    kind: str

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the next step for a leased record.

        Returns the record as it shall be stored, its `due` telling when to look again (None: never), or None when the
        record is to be removed. May be called twice for the same state (after a crash or a conflict): whatever it
        starts must bear a name, so that starting it again is no second start.
        """
        ...

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The record after its step has raised several times."""
        ...


class Loop:
    """Runs the controllers in threads of its own until it is stopped."""

    def __init__(self, records: Records, clock: Clock, controllers: Iterable[Controller], threads: int = 8) -> None:
        self._records = records
        self._clock = clock
        self._controllers = {controller.kind: controller for controller in controllers}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="controller")
        self._free = threading.Semaphore(threads)
        self._threads = threads
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controllers", daemon=True)

    def start(self) -> None:
        """Begins to lease."""
        self._thread.start()

    def stop(self) -> None:
        """Leases nothing more and waits for the steps under way; workloads go on."""
        self._stopping.set()
        self._records.hint()
        self._thread.join()
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        seen = -1
        while not self._stopping.is_set():
            try:
                leased = self._lease()
                for record in leased:
                    self._pool.submit(self._take, record)
                if not leased:
                    due = self._records.next_due()
                    seen = self._records.wait(seen, self._pause(due), due)
            except DatabaseError:
                log.exception("cannot read what is due")
                self._stopping.wait(RETRY_S)

    def _lease(self) -> list[Record]:
        self._free.acquire()
        spare = 1
        while spare < self._threads and self._free.acquire(blocking=False):
            spare += 1
        leased: list[Record] = []
        try:
            leased = self._records.lease(self._clock.now(), LEASE_S, spare)
        finally:
            for _ in range(spare - len(leased)):
                self._free.release()
        return leased

    def _pause(self, due: float | None) -> float:
        return IDLE_S if due is None else min(max(due - self._clock.now().timestamp(), 0.0), IDLE_S)

    def _take(self, record: Record) -> None:
        try:
            self._step(record)
        finally:
            self._free.release()
            self._records.hint()

    def _step(self, record: Record) -> None:
        controller = self._controllers[record.kind]
        try:
            outcome = controller.step(record, self._clock.now())
        except (Conflict, Unavailable):
            self._give_back(record)
            return
        except Exception as error:  # one record's fault must not stop the others
            log.exception("step of %s %s failed", record.kind, record.name)
            outcome = self._after_failure(controller, record, error)
        try:
            if outcome is None:
                self._records.delete(record)
            else:
                self._wake_owner(self._records.apply(outcome))
        except Conflict:
            self._give_back(record)
        except DatabaseError:
            log.exception("cannot store what became of %s %s", record.kind, record.name)
            self._give_back(record)

    def _give_back(self, record: Record) -> None:
        """Ends the lease, so that the step is taken again; as often as it takes when the disk is full."""
        while not self._stopping.is_set():
            try:
                self._records.release(record, self._clock.now())
            except DatabaseError:
                self._stopping.wait(RETRY_S)
            else:
                return

    def _wake_owner(self, record: Record) -> None:
        owner = (
            self._records.by_arn(record.observed[OWNER]) if record.due is None and OWNER in record.observed else None
        )
        if owner is not None:
            self._records.touch(owner.kind, owner.account, owner.region, owner.name, self._clock.now())

    def _after_failure(self, controller: Controller, record: Record, error: Exception) -> Record:
        now = self._clock.now()
        # The step may have stored the record before it failed.
        current = self._records.get(record.kind, record.account, record.region, record.name)
        record = replace(current, lease_token=record.lease_token) if current is not None else record
        failures = int(record.observed.get("failures", 0)) + 1
        if failures >= PATIENCE:
            return controller.give_up(record, now, f"InternalServerError: {error}")
        observed = {**record.observed, "failures": failures}
        return replace(record, observed=observed, due=now + timedelta(seconds=RETRY_S))
