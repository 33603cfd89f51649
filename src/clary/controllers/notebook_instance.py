"""Notebook instances: JupyterLab brought up, kept up and taken down."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clary.agent.bundle import remove
from clary.controllers.identity import SECRET, RoleGone, new_secret
from clary.controllers.notebook_workload import NotebookGone, NotebookWorkloads
from clary.controllers.states import NOTEBOOK_INSTANCE, transition
from clary.notebook_access import LINKS, SIGNING_SECRET

if TYPE_CHECKING:
    from clary.compute.base import Backend
    from clary.platform import Platform
    from clary.store.records import Record

STARTING_LOOK_S = 0.2
LOOK_S = 2.0
GRACE_S = 10.0
STARTUP = timedelta(minutes=15)
"""Both scripts may take five minutes each; the rest is for JupyterLab."""

RESTARTS = 3
"""How often in a row JupyterLab may end soon after its start before the instance is given up."""

_PASSING = ("Handle", "StartedAt", "Restarts", SECRET, SIGNING_SECRET, LINKS, "ServerToken", "Socket")
"""What a stopped instance has no more."""


class NotebookInstanceController:
    """Runs JupyterLab while the instance is in service."""

    kind = "notebook-instance"

    def __init__(self, platform: Platform, backend: Backend) -> None:
        self._platform = platform
        self._backend = backend
        self._workloads = NotebookWorkloads(platform)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the instance's next step."""
        if record.status == "Deleting":
            self._clear(record)
            remove(self._workloads.volume(record))
            return None
        if record.status == "Updating":
            return replace(transition(NOTEBOOK_INSTANCE, record, "Stopped", now), due=None)
        if record.status == "Stopping":
            return self._take_down(record, now)
        if record.status in {"Pending", "InService"}:
            try:
                return self._run(record, now)
            except (NotebookGone, RoleGone) as error:
                return self._failed(record, now, str(error))
        return replace(record, due=None)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The instance failed because the platform could not go on with it."""
        return self._failed(record, now, reason)

    def _run(self, record: Record, now: datetime) -> Record:
        if "Handle" not in record.observed:
            return self._begin(record, now)
        self._workloads.take_over_logs(record)
        if self._backend.poll(record.observed["Handle"]).phase in {"exited", "gone"}:
            return self._ended(record, now)
        if record.status == "InService":
            return replace(record, due=now + timedelta(seconds=LOOK_S))
        if self._workloads.ready(record):
            observed = {**record.observed, "Created": True}
            record = transition(NOTEBOOK_INSTANCE, replace(record, observed=observed), "InService", now)
            return replace(record, due=now + timedelta(seconds=LOOK_S))
        if now - datetime.fromisoformat(record.observed["StartedAt"]) > STARTUP:
            raise NotebookGone("JupyterLab does not answer; see the log stream of the notebook instance.")
        return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S))

    def _begin(self, record: Record, now: datetime) -> Record:
        bundle = self._workloads.bundle(record)
        handle = self._backend.find(self._workloads.id(record), bundle) if SECRET in record.observed else None
        if handle is None:
            record = self._with_secrets(record, now)
            # Stored at once: the instance may ask for credentials as soon as it runs.
            record = self._platform.records.update(record)
            remove(bundle)
            try:
                workload = self._workloads.prepare(record)
            except NotebookGone as error:
                # Only the record as it was stored just now can be stored again.
                return self._failed(record, now, str(error))
            handle = self._backend.start(workload)
        observed = {**record.observed, "Handle": handle}
        return replace(record, observed=observed, due=now + timedelta(seconds=STARTING_LOOK_S))

    def _with_secrets(self, record: Record, now: datetime) -> Record:
        fresh = {
            SECRET: new_secret(),
            # Sessions outlast a restart that nobody asked for.
            SIGNING_SECRET: record.observed.get(SIGNING_SECRET) or new_secret(),
            "ServerToken": secrets.token_hex(32),
            "Socket": str(self._workloads.socket(record)),
            "StartedAt": now.isoformat(),
        }
        return replace(record, observed={**record.observed, **fresh})

    def _ended(self, record: Record, now: datetime) -> Record:
        """JupyterLab ended by itself: the start failed, or it is started once more."""
        if record.status == "Pending":
            raise NotebookGone(self._workloads.failure(record))
        quickly = now - datetime.fromisoformat(record.observed["StartedAt"]) < STARTUP
        restarts = int(record.observed.get("Restarts", 0)) + 1 if quickly else 1
        if restarts > RESTARTS:
            raise NotebookGone("JupyterLab ends again and again; see the log stream of the notebook instance.")
        self._clear(record)
        kept = {name: value for name, value in record.observed.items() if name not in {"Handle", SECRET}}
        return replace(record, observed={**kept, "Restarts": restarts}, due=now)

    def _take_down(self, record: Record, now: datetime) -> Record:
        handle = record.observed.get("Handle")
        if handle is not None and self._backend.poll(handle).phase not in {"exited", "gone"}:
            self._backend.stop(handle, GRACE_S)
            self._workloads.take_over_logs(record)
            return replace(record, due=now + timedelta(seconds=LOOK_S))
        self._clear(record)
        return replace(transition(NOTEBOOK_INSTANCE, _bare(record), "Stopped", now), due=None)

    def _failed(self, record: Record, now: datetime, reason: str) -> Record:
        self._clear(record)
        return replace(transition(NOTEBOOK_INSTANCE, _bare(record), "Failed", now, reason[:1024]), due=None)

    def _clear(self, record: Record) -> None:
        """Ends the processes and removes all but the instance's volume."""
        handle = record.observed.get("Handle")
        if handle is not None:
            self._workloads.take_over_logs(record)
            self._backend.delete(handle)
        remove(self._workloads.bundle(record))


def _bare(record: Record) -> Record:
    observed = {name: value for name, value in record.observed.items() if name not in _PASSING}
    return replace(record, observed=observed)
