"""What the controllers of training and processing jobs share: admit, prepare, watch, bring out, finish."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.agent.bundle import remove
from clary.agent.workload import Workload
from clary.controllers.cluster import Cluster, Host
from clary.controllers.contract import NO_SANDBOX, PACKAGES, base_environment, clamped, need, package_folder, size
from clary.controllers.identity import SECRET, RoleGone, environment, new_secret, role_context
from clary.controllers.inputs.bring import Bringer, Brought
from clary.controllers.joblog import JobLog, ensure_group
from clary.controllers.staging import Stager, StagingError
from clary.controllers.states import States, transition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clary.compute.base import Backend, Observation
    from clary.controllers.capacity import Capacity, Need
    from clary.controllers.images import OwnImage
    from clary.platform import Platform
    from clary.store.records import Record

LOOK_S = 1.0
"""How often the log of a running job is taken over; changes of phase wake the controller at once."""

INTERRUPT = "Interrupt"
"""Observed member with which `clary interrupt` asks for the interruption of a managed spot training job."""
ATTEMPT, ATTEMPT_AT, TRAINED_S = "Attempt", "AttemptAt", "TrainedSeconds"
"""Observed members: which attempt goes on, since when, and how long the earlier ones ran."""

WAITS = "WaitsForRoom"
"""Observed member of a job whose hosts have no room yet where they are to run."""

OVERDUE = "MaxWaitTimeExceeded"
"""Secondary status of a job that has waited and run for longer than it may."""

LINE_LOOK_S = 5.0
"""How often a waiting job asks for its place; it is called when there is room."""

GRACE_S = 120.0
"""Time between SIGTERM and SIGKILL of a stopped job, as on AWS."""


class JobController(ABC):
    """Takes a job from InProgress to its end.

    The observed member `Phase` says how far it is: (none) -> started -> ended, after which the status is terminal.
    Every phase may be entered twice: bundles and objects are written over, workloads bear the job's name.
    """

    kind: str
    states: States
    log_group: str

    def __init__(self, platform: Platform, backend: Backend, capacity: Capacity) -> None:
        self._platform = platform
        self._backend = backend
        self._capacity = capacity

    @abstractmethod
    def instances(self, record: Record) -> tuple[str, int]:
        """The instance type of the job's hosts, and how many there are."""

    @abstractmethod
    def isolated(self, record: Record) -> bool:
        """Whether the hosts may reach nothing but each other."""

    @abstractmethod
    def prepare(self, record: Record, host: Host, stager: Stager) -> Workload:
        """Brings the data of one host in and tells what to run there.

        Raises:
            StagingError: the job fails with this reason.
        """

    @abstractmethod
    def bring_out(self, record: Record, hosts: Sequence[Host], stager: Stager, seen: Observation) -> Record:
        """Brings results to S3; called once the workloads have ended, in whatever way.

        Raises:
            StagingError: the job fails with this reason.
        """

    @abstractmethod
    def failure(self, record: Record, bundle: Path, seen: Observation) -> str:
        """Why the job failed, in AWS's words; empty when it did not. `bundle` is that of the host that failed first."""

    def enter(self, record: Record, phase: str, now: datetime) -> Record:  # noqa: ARG002  # a hook
        """The record as a phase begins (Downloading, Training, Completed, ...); a hook for secondary statuses."""
        return record

    def waits(self, record: Record, why: str, now: datetime) -> Record:  # noqa: ARG002  # a hook
        """The record of a job that waits for what `why` tells; a hook for messages."""
        return self.enter(record, "Pending", now)

    def place(self, record: Record) -> int:
        """0 when the job may run now, else its place in the line; a hook for jobs that have a place already."""
        return self._capacity.place(self.job_id(record), self.need(record), record.created)

    def took_over(self, record: Record, events: list[tuple[int, str]]) -> Record:  # noqa: ARG002  # a hook
        """The record after new log lines; a hook for metrics."""
        return record

    def sync(self, record: Record, hosts: Sequence[Host], stager: Stager) -> None:  # noqa: B027  # a hook
        """Brings out what shall be in S3 before the job has ended; a hook for checkpoints."""

    def overdue(self, record: Record, now: datetime) -> bool:  # noqa: ARG002  # a hook
        """Whether the job has waited and run for longer than it may; a hook for managed spot training."""
        return False

    def resumes(self, record: Record, hosts: Sequence[Host], seen: Observation) -> str:  # noqa: ARG002  # a hook
        """The secondary status with which a job begins again that has not really ended; a hook for interruptions."""
        return ""

    # The contract of the loop

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the job's next step."""
        if record.status in self.states.terminal:
            return self._clean(record)
        try:
            if "Handles" in record.observed:
                return self._watch(record, now)
            return self._begin(record, now)
        except (StagingError, RoleGone) as error:
            return self._finish(record, "Failed", str(error))

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The job failed because the platform could not go on with it."""
        return self._end(record, "Failed", reason, now)

    # Phases

    def _begin(self, record: Record, now: datetime) -> Record:
        cluster = self.cluster(record)
        handles = cluster.find()
        if record.status == "Stopping" and not handles:
            return self._finish(record, "Stopped")
        if self.overdue(record, now):
            return self._finish(self.enter(record, OVERDUE, now), "Stopped")
        if place := self.place(record):
            why = f"Waiting for room on this machine: number {place} in line"
            return replace(self.waits(record, why, now), due=now + timedelta(seconds=LINE_LOOK_S))
        if not handles:
            record = self._with_secret(self.enter(record, "Downloading", now))
            # Stored at once: Describe tells the phase, and the workload may ask for credentials with the secret.
            record = self._platform.records.update(record)
            remove(self.folder(record))
            try:
                workloads = [self.prepare(record, host, self.stager(record)) for host in cluster.hosts]
            except (StagingError, RoleGone) as error:
                # Only the record as it was stored just now can be stored again.
                return self._finish(record, "Failed", str(error))
            handles = cluster.start(workloads)
        started = self._platform.clock.now()
        observed = {**record.observed, "Handles": handles, "StartedAt": started}
        record = replace(record, observed=observed, due=started + timedelta(seconds=LOOK_S), modified=started)
        seen = cluster.watch(handles)
        return self._placing(record, seen, started) or self.enter(record, "Training", started)

    def _watch(self, record: Record, now: datetime) -> Record:
        self._capacity.hold(self.job_id(record), self.need(record))
        cluster, handles = self.cluster(record), record.observed["Handles"]
        seen = cluster.watch(handles)
        record = self._placing(record, seen, now) or self._placed(record, now)
        record = self._take_over(record)
        if seen.phase not in {"exited", "gone"}:
            if not record.observed.get("StopSent") and (why := self._ends(record, now)):
                cluster.stop(handles, GRACE_S)
                record = replace(record, observed={**record.observed, "StopSent": why})
            self.sync(record, cluster.hosts, self.stager(record))
            behind = any(self.log(record, host).is_far_behind(self._platform) for host in cluster.hosts)
            return replace(record, due=now + timedelta(seconds=0.0 if behind else LOOK_S))
        while (rest := self._take_over(record)) is not record:
            record = rest
        return self._conclude(record, seen)

    def _placing(self, record: Record, seen: Observation, now: datetime) -> Record | None:
        """The record while the place where workloads run has no room for its hosts; None otherwise."""
        if seen.phase != "starting" or not seen.message or record.status != "InProgress":
            return None
        return self.waits(replace(record, observed={**record.observed, WAITS: True}), seen.message, now)

    def _placed(self, record: Record, now: datetime) -> Record:
        """The record of hosts that have room; those that have waited for it begin now."""
        if WAITS not in record.observed:
            return record
        observed = {name: value for name, value in record.observed.items() if name != WAITS}
        record = replace(record, observed={**observed, "StartedAt": now})
        return self.enter(record, "Training", now) if record.status == "InProgress" else record

    def _ends(self, record: Record, now: datetime) -> str:
        """Why a running job shall end now, if it shall."""
        if record.status == "Stopping":
            return record.status
        return OVERDUE if self.overdue(record, now) else INTERRUPT if INTERRUPT in record.observed else ""

    def _conclude(self, record: Record, seen: Observation) -> Record:
        cluster = self.cluster(record)
        ended = seen.ended_at or self._platform.clock.now()
        record = replace(record, observed={**record.observed, "EndedAt": ended})
        if record.status == "InProgress" and (status := self.resumes(record, cluster.hosts, seen)):
            return self._resume(record, status, ended)
        if reason := _no_results(seen):
            return self._finish(record, "Failed", reason)
        record = self.enter(record, "Uploading", ended)
        record = self.bring_out(record, cluster.hosts, self.stager(record), seen)
        if record.status == "Stopping":
            return self._finish(record, "Stopped")
        if limit := "MaxRuntimeExceeded" if seen.reason == "timeout" else _overdue(record):
            return self._finish(self.enter(record, limit, ended), "Stopped")
        reason = self.failure(record, cluster.failed(record.observed["Handles"]).bundle, seen)
        return self._finish(record, "Failed" if reason else "Completed", reason)

    def _resume(self, record: Record, status: str, now: datetime) -> Record:
        """The job ready to begin another attempt, in bundles of its own."""
        cluster = self.cluster(record)
        cluster.delete()
        self._capacity.leave(self.job_id(record))
        ended = {"Handles", "StartedAt", "EndedAt", "StopSent", INTERRUPT}
        observed = {name: value for name, value in record.observed.items() if name not in ended}
        observed[ATTEMPT] = attempt(record) + 1
        observed[TRAINED_S] = trained_s(record)
        observed[ATTEMPT_AT] = now
        record = self.enter(replace(record, observed=observed), status, now)
        return replace(self.enter(record, "Starting", now), due=now)

    def _finish(self, record: Record, status: str, reason: str = "") -> Record:
        return self._end(record, status, reason, self._platform.clock.now())

    def _end(self, record: Record, status: str, reason: str, now: datetime) -> Record:
        """The job in its last status; due once more, to be cleaned up after the status is stored."""
        if status == "Stopped" and record.status == "InProgress":
            record = transition(self.states, record, "Stopping", now)
        record = transition(self.states, record, status, now, reason[:1024])
        return replace(self.enter(record, status, now), due=now)

    def _clean(self, record: Record) -> Record:
        """Removes what the job left on this machine, and makes room for the next one."""
        record = self._removed(record)
        self._capacity.leave(self.job_id(record))
        return record

    def _removed(self, record: Record) -> Record:
        self.cluster(record).delete()
        remove(self.folder(record))
        observed = {key: value for key, value in record.observed.items() if key not in {"Handles", SECRET}}
        return replace(record, observed=observed, due=None)

    # Parts

    def folder(self, record: Record) -> Path:
        """The folder that holds everything of this job on this machine."""
        return self._platform.settings.home / "workloads" / record.kind / record.account / record.region / record.name

    def job_id(self, record: Record) -> str:
        """The name under which the job runs; the ids of its workloads, which the backend tells, begin with it."""
        return "/".join((record.kind, record.account, record.region, record.name))

    def cluster(self, record: Record) -> Cluster:
        """The hosts of the job."""
        folder = self.folder(record) / f"attempt-{attempt(record)}"
        return Cluster(self._backend, self.job_id(record), folder, self.instances(record)[1])

    def workload(self, record: Record, host: Host, command: Sequence[str], brought: Brought) -> Workload:
        """What the workloads of all jobs have in common."""
        instance_type, _ = self.instances(record)
        vcpus, memory = size(instance_type)
        packages = package_folder(self._platform.settings.home, record.spec["RoleArn"])
        isolated = self.isolated(record)
        return Workload(
            id=host.workload_id,
            bundle=host.bundle,
            hostname=host.name,
            hosts=host.addresses,
            command=tuple(command),
            env={
                **base_environment(),
                **({} if isolated else environment(self._platform, record, record.observed[SECRET])),
                PACKAGES: packages.target,
                **record.spec.get("Environment", {}),
            },
            cpus=vcpus,
            memory_bytes=memory,
            instance_type=instance_type,
            network=not isolated,
            network_of=host.lead if isolated and host.index else None,
            binds=(packages,),
            inputs=brought.inputs,
            pipes=brought.pipes,
            notes=(*self.remarks(record), *brought.notes),
            warm=self._platform.settings.warm_workers,
        )

    def remarks(self, record: Record) -> tuple[str, ...]:
        """What is to be known of where the job runs: less room than its instance type has, and no sandbox."""
        if self._backend.elsewhere:
            return ()
        plain = () if self._platform.sandboxes else (NO_SANDBOX,)
        return (*clamped(self.instances(record)[0]), *plain)

    def need(self, record: Record) -> Need:
        """What the job takes of this machine."""
        return need(*self.instances(record))

    def stager(self, record: Record) -> Stager:
        """Copies data as the job's execution role."""
        role: str = record.spec["RoleArn"]
        return Stager(
            self._platform, lambda operation: role_context(self._platform, record, role, "s3", operation), role
        )

    def bringer(self, host: Host, stager: Stager, own: OwnImage | None) -> Bringer:
        """Brings the job's data to one of its hosts."""
        shard = (host.index, len(host.addresses))
        backend = self._backend
        copies = backend.copies or (own.copies if own else "")
        as_root = own is None or own.is_root
        return Bringer(stager, host.bundle, shard, copies, as_root=as_root, sent=backend.elsewhere)

    def log(self, record: Record, host: Host) -> JobLog:
        """Where the output of a host goes."""
        began = moment(record.observed.get(ATTEMPT_AT, record.created))
        stream = f"{record.name}/{host.name}-{int(began.timestamp())}"
        group = f"{record.account}/{record.region}/{self.log_group}"
        return JobLog(host.bundle / "log", group, stream)

    def _take_over(self, record: Record) -> Record:
        hosts = self.cluster(record).hosts
        events = [event for host in hosts for event in self.log(record, host).take_over(self._platform)]
        if not events:
            return record
        ensure_group(self._platform, record, self.log_group)
        return replace(self.took_over(record, events))

    def _with_secret(self, record: Record) -> Record:
        return replace(record, observed={**record.observed, SECRET: new_secret()})


def _no_results(seen: Observation) -> str:
    """Why there is nothing to bring out, if the machine is to blame."""
    if seen.reason == "sandbox":
        return f"InternalServerError: The job could not be started: {seen.message}"
    if seen.reason == "inputs":
        return f"ClientError: Data download failed:{seen.message}"
    if seen.reason == "archive" and seen.exit_code == 0:
        return f"ClientError: Artifact upload failed:{seen.message}"
    return ""


def _overdue(record: Record) -> str:
    return OVERDUE if record.observed.get("StopSent") == OVERDUE else ""


def attempt(record: Record) -> int:
    """The number of the attempt at this job that goes on, from 1."""
    return int(record.observed.get(ATTEMPT, 1))


def trained_s(record: Record) -> int:
    """Whole seconds that the job has run, in all attempts that have ended; at least one for each."""
    before = int(record.observed.get(TRAINED_S, 0))
    if "StartedAt" not in record.observed:
        return before
    ended = moment(record.observed["EndedAt"])
    return before + max(1, round((ended - moment(record.observed["StartedAt"])).total_seconds()))


def moment(value: Any) -> datetime:
    """A moment as records keep it: as it was just set, or as it was stored."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
