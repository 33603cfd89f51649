"""Batch transform jobs: a model server is brought up, all input goes through it, and it is taken down."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clary.controllers.contract import need
from clary.controllers.identity import SECRET, RoleGone, new_secret, role_context
from clary.controllers.job import LINE_LOOK_S
from clary.controllers.joblog import ensure_group
from clary.controllers.replica import Replicas, Server
from clary.controllers.staging import Stager, StagingError
from clary.controllers.states import TRANSFORM_JOB, transition
from clary.controllers.transfer import Transfer

if TYPE_CHECKING:
    from pathlib import Path

    from clary.compute.base import Backend
    from clary.controllers.capacity import Capacity, Need
    from clary.platform import Platform
    from clary.store.records import Record

STARTUP_S = 240.0
"""How long a container may take until its first good ping, as on AWS."""

GRACE_S = 2.0
"""Time between SIGTERM and SIGKILL of the model server: it has nothing to do any more, or shall not do it."""

STARTING_LOOK_S = 0.1
LOOK_S = 1.0
LOG_GROUP = "/aws/sagemaker/TransformJobs"
REPLICA = "algo-1"

SEE_LOGS = "AlgorithmError: See job logs for more information"


class TransformJobController:
    """Takes a transform job from InProgress to its end.

    A job is known by its Handle to have a model server. The transfer of its data is a thread of this process, which is
    begun again when the platform was started anew.
    """

    kind = "transform-job"

    def __init__(self, platform: Platform, backend: Backend, capacity: Capacity) -> None:
        self._platform = platform
        self._backend = backend
        self._capacity = capacity
        self._replicas = Replicas(platform, backend)
        # Only the step that holds the lease of a job touches its entry.
        self._transfers: dict[str, Transfer] = {}

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the job's next step."""
        if record.status in TRANSFORM_JOB.terminal:
            return self._clean(record)
        try:
            if "Handle" in record.observed:
                return self._watch(record, now)
            if record.status == "Stopping":
                return _ended(record, "Stopped", now)
            return self._begin(record, now)
        except (StagingError, RoleGone) as error:
            return _ended(record, "Failed", now, str(error))

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The job failed because the platform could not go on with it."""
        return _ended(record, "Failed", now, reason)

    # Phases

    def _begin(self, record: Record, now: datetime) -> Record:
        if self._capacity.place(_identity(record), _need(record), record.created):
            return replace(record, due=now + timedelta(seconds=LINE_LOOK_S))
        model = self._platform.records.get("model", record.account, record.region, record.spec["ModelName"])
        if model is None:
            raise StagingError(f"ClientError: The model {record.spec['ModelName']} does not exist.")
        role = model.spec["ExecutionRoleArn"]
        # What an earlier, unfinished step has set stays: a model server that it started knows that secret.
        observed = {SECRET: new_secret(), "TransformStartTime": now, **record.observed, "RoleArn": role}
        # Stored at once: the model server may ask for credentials with the secret.
        record = self._platform.records.update(replace(record, observed=observed, modified=now))
        try:
            handle = self._replicas.start(record, _server(record, model))
        except (StagingError, RoleGone) as error:
            # Only the record as it was stored just now can be stored again.
            return _ended(record, "Failed", now, str(error))
        return replace(
            record, observed={**record.observed, "Handle": handle}, due=now + timedelta(seconds=STARTING_LOOK_S)
        )

    def _watch(self, record: Record, now: datetime) -> Record:
        self._capacity.hold(_identity(record), _need(record))
        handle = record.observed["Handle"]
        alive = self._backend.poll(handle).phase not in {"exited", "gone"}
        outcome = record.observed.get("Outcome") or self._outcome(record, now, alive=alive)
        self._take_over_log(record, now)
        if outcome is None:
            starting = _identity(record) not in self._transfers
            return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S if starting else LOOK_S))
        if not alive:
            status, reason = outcome
            return _ended(record, status, now, reason)
        # The job ends with its model server: what that still has to say belongs into the log.
        self._backend.stop(handle, GRACE_S)
        observed = {**record.observed, "Outcome": outcome}
        return replace(record, observed=observed, due=now + timedelta(seconds=LOOK_S))

    def _outcome(self, record: Record, now: datetime, *, alive: bool) -> list[str] | None:
        """The last status and the reason of a failure, once the job has nothing more to do."""
        if record.status == "Stopping":
            return ["Stopped", ""]
        transfer = self._transfer(record) if alive else self._transfers.get(_identity(record))
        if transfer is not None and transfer.reason is not None:
            return ["Failed" if transfer.reason else "Completed", transfer.reason]
        if not alive:
            return ["Failed", SEE_LOGS]
        refusal = "" if transfer else self._replicas.health(record, REPLICA).refusal
        if refusal:
            return ["Failed", f"{SEE_LOGS} ({refusal})"]
        if transfer is None and now.timestamp() - _started(record) > STARTUP_S:
            return ["Failed", f"{SEE_LOGS} (the container did not answer /ping)"]
        return None

    def _clean(self, record: Record) -> Record:
        """Removes what the job left on this machine."""
        transfer = self._transfers.pop(_identity(record), None)
        if transfer is not None:
            transfer.stop()
        bundle = self._replicas.bundle(record, REPLICA)
        handle = record.observed.get("Handle") or self._backend.find(f"{_identity(record)}/{REPLICA}", bundle)
        if handle is not None:
            self._replicas.remove(record, REPLICA, handle)
        self._capacity.leave(_identity(record))
        observed = {key: value for key, value in record.observed.items() if key not in {"Handle", "Outcome", SECRET}}
        return replace(record, observed=observed, due=None)

    # Parts

    def _transfer(self, record: Record) -> Transfer | None:
        """The transfer of the job, begun if its model server is ready; None before."""
        identity = _identity(record)
        if identity in self._transfers:
            return self._transfers[identity]
        if not self._replicas.health(record, REPLICA).ready:
            return None
        role: str = record.observed["RoleArn"]
        stager = Stager(
            self._platform, lambda operation: role_context(self._platform, record, role, "s3", operation), role
        )
        socket = self._replicas.socket(record, REPLICA)
        transfer = Transfer(record.spec, stager, socket, self._folder(record), lambda: self._wake(record))
        self._transfers[identity] = transfer
        transfer.start()
        return transfer

    def _wake(self, record: Record) -> None:
        now = self._platform.clock.now()
        self._platform.records.touch(record.kind, record.account, record.region, record.name, now)

    def _take_over_log(self, record: Record, now: datetime) -> None:
        stream = _stream(record)
        self._replicas.take_over_log(record, REPLICA, LOG_GROUP, stream)
        transfer = self._transfers.get(_identity(record))
        lines = transfer.take_lines() if transfer is not None else []
        if lines:
            moment = int(now.timestamp() * 1000)
            events = [(moment, f"[sagemaker logs]: {line}") for line in lines]
            self._platform.logs.append(f"{record.account}/{record.region}/{LOG_GROUP}", stream, events, moment)
            ensure_group(self._platform, record, LOG_GROUP)

    def _folder(self, record: Record) -> Path:
        return self._platform.settings.home / "workloads" / record.kind / record.account / record.region / record.name


def _server(record: Record, model: Record) -> Server:
    spec = record.spec
    asked = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": spec.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}.get(
            spec.get("BatchStrategy", "")
        ),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": spec.get("MaxConcurrentTransforms"),
    }
    environment = {
        "SAGEMAKER_BATCH": "true",
        **{name: str(value) for name, value in asked.items() if value is not None},
        **spec.get("Environment", {}),
    }
    return Server(
        REPLICA,
        model.spec.get("PrimaryContainer") or model.spec["Containers"][0],
        model.spec["ExecutionRoleArn"],
        spec["TransformResources"]["InstanceType"],
        environment=tuple(environment.items()),
        isolated=bool(model.spec.get("EnableNetworkIsolation")),
    )


def _need(record: Record) -> Need:
    return need(record.spec["TransformResources"]["InstanceType"], 1)


def _ended(record: Record, status: str, now: datetime, reason: str = "") -> Record:
    """The job in its last status; due once more, to be cleaned up after the status is stored."""
    observed = {**record.observed, "TransformEndTime": now}
    return replace(transition(TRANSFORM_JOB, replace(record, observed=observed), status, now, reason[:1024]), due=now)


def _identity(record: Record) -> str:
    return "/".join((record.kind, record.account, record.region, record.name))


def _stream(record: Record) -> str:
    epoch = int(record.created.timestamp())
    instance = hashlib.sha256(f"{record.arn} {epoch}".encode()).hexdigest()[:17]
    return f"{record.name}/i-{instance}-{epoch}"


def _started(record: Record) -> float:
    moment = record.observed["TransformStartTime"]
    return (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp()
