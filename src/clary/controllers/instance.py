"""EC2 instances: sandboxes that keep their disk from start to start."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clary import instance_folder
from clary.agent import bundle
from clary.compute.base import Workload
from clary.controllers.contract import base_environment, size
from clary.controllers.identity import SECRET, new_secret
from clary.controllers.instance_metadata import endpoint
from clary.controllers.states import INSTANCE, transition
from clary.instance_types import GIB, lookup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clary.compute.base import Backend, Handle, Observation
    from clary.instance_folder import InstanceFolder
    from clary.platform import Platform
    from clary.store.records import Record

STARTING_LOOK_S = 0.2
RUNNING_LOOK_S = 30.0
"""Only a safety net: the end of an instance wakes the controller."""

STOPPING_LOOK_S = 0.5
GRACE_S = 20.0
VISIBLE = timedelta(hours=1)
"""How long a terminated instance can be described, as on AWS."""

PROCESSES = 8192
MEMORY_LEAST = 256 << 20
"""Less would not carry Python with its science libraries, which even t2.nano should."""

TOOLS = "/run/clary/bin"
"""Where the commands are that switch the instance off, which has no init system that would know them."""

_SWITCH_OFF = "#!/bin/sh\nkill -TERM 1\n"
_REBOOT = "#!/bin/sh\ntouch /run/clary/reboot\nkill -TERM 1\n"
_COMMANDS = {"shutdown": _SWITCH_OFF, "poweroff": _SWITCH_OFF, "halt": _SWITCH_OFF, "reboot": _REBOOT}


class InstanceController:
    """Boots instances, notices when they switch themselves off, stops and removes them."""

    kind = "instance"

    def __init__(self, platform: Platform, backend: Backend) -> None:
        self._platform = platform
        self._backend = backend
        self._steps: dict[str, Callable[[Record, datetime], Record | None]] = {
            "pending": self._boot,
            "running": self._watch,
            "stopping": self._stop,
            "stopped": lambda record, _: replace(record, due=None),
            "shutting-down": self._terminate,
            "terminated": self._forget,
        }

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the instance's next step."""
        return self._steps[record.status](record, now)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The instance failed because the platform could not go on with it."""
        if record.status in {"stopped", "terminated"}:
            return replace(record, due=None)
        return self._gone(_because(record, "Server.InternalError", reason), now)

    # State by state

    def _boot(self, record: Record, now: datetime) -> Record:
        handle = self._handle(record)
        if handle is None:
            return replace(self._start(record), due=now + timedelta(seconds=STARTING_LOOK_S))
        seen = self._backend.poll(handle)
        if seen.phase in {"starting", "archiving"}:
            return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S))
        if _failed(seen):
            reason = f"Internal error on launch: {seen.message or seen.reason}"
            return self._gone(_because(record, "Server.InternalError", reason), now)
        return self._watch(transition(INSTANCE, record, "running", now), now)

    def _watch(self, record: Record, now: datetime) -> Record:
        handle = self._handle(record)
        if handle is None:
            return self._switched_off(record, now, None)
        seen = self._backend.poll(handle)
        if seen.phase in {"exited", "gone"}:
            return self._switched_off(record, now, seen)
        if record.observed.get("Reboot"):
            self._backend.stop(handle, GRACE_S)
            return replace(record, due=now + timedelta(seconds=STOPPING_LOOK_S))
        return replace(record, due=now + timedelta(seconds=RUNNING_LOOK_S))

    def _switched_off(self, record: Record, now: datetime, seen: Observation | None) -> Record:
        """The instance has ended without StopInstances: by itself, for a reboot, or by an accident."""
        wanted = record.observed.get("Reboot") or (self._folder(record).boot / "run" / "reboot").exists()
        self._clear(record)
        if wanted:
            observed = {key: value for key, value in record.observed.items() if key != "Reboot"}
            record = self._start(replace(record, observed=observed))
            return replace(record, due=now + timedelta(seconds=RUNNING_LOOK_S))
        record = _because(record, *_reason(seen))
        if record.spec.get("InstanceInitiatedShutdownBehavior") == "terminate":
            return self._gone(record, now)
        return self._stopped(record, now)

    def _stop(self, record: Record, now: datetime) -> Record:
        handle = self._handle(record)
        if handle is not None and self._backend.poll(handle).phase not in {"exited", "gone"}:
            self._backend.stop(handle, 0.0 if record.observed.get("Force") else GRACE_S)
            return replace(record, due=now + timedelta(seconds=STOPPING_LOOK_S))
        self._clear(record)
        return self._stopped(record, now)

    def _stopped(self, record: Record, now: datetime) -> Record:
        observed = {key: value for key, value in record.observed.items() if key not in {SECRET, "Force", "Reboot"}}
        return replace(transition(INSTANCE, replace(record, observed=observed), "stopped", now), due=None)

    def _terminate(self, record: Record, now: datetime) -> Record:
        return self._gone(record, now)

    def _gone(self, record: Record, now: datetime) -> Record:
        """Removes everything but the record and the console, which may tell why."""
        self._clear(record)
        bundle.remove(self._folder(record).root)
        for kind, member in (("volume", "VolumeId"), ("network-interface", "NetworkInterfaceId")):
            part = self._platform.records.get(kind, record.account, record.region, record.observed[member])
            if part is not None:
                self._platform.records.delete(part)
        observed = {key: value for key, value in record.observed.items() if key != SECRET}
        return replace(transition(INSTANCE, replace(record, observed=observed), "terminated", now), due=now + VISIBLE)

    def _forget(self, record: Record, now: datetime) -> Record | None:
        end = record.modified + VISIBLE
        if now < end:
            return replace(record, due=end)
        bundle.remove(self._folder(record).path)
        return None

    # Parts

    def _start(self, record: Record) -> Record:
        """Starts the sandbox of an instance; done twice, it is started once."""
        cpus, memory = size(record.spec["InstanceType"])
        memory = max(memory, MEMORY_LEAST)
        observed = {**record.observed, SECRET: new_secret(), "VCpus": max(1, round(cpus))}
        # Stored at once, as the instance may ask for its credentials before this step ends.
        record = self._platform.records.update(replace(record, observed=observed))
        folder = self._folder(record)
        folder.say(_greeting(record, cpus, memory))
        folder.root.mkdir(parents=True, exist_ok=True)
        _fill(folder.boot / "run", record.spec.get("UserData"))
        self._backend.start(
            Workload(
                id=self._workload_id(record),
                bundle=folder.boot,
                root=folder.root,
                command=("python", "-m", "clary.agent.instance"),
                env=self._environment(record),
                cpus=cpus,
                memory_bytes=memory,
                pids=PROCESSES,
                cwd="/",
                hostname=f"ip-{record.observed['PrivateIpAddress'].replace('.', '-')}",
                grace_s=GRACE_S,
            )
        )
        return record

    def _environment(self, record: Record) -> dict[str, str]:
        """What makes unmodified AWS clients inside find the platform and the role of the instance."""
        shell = base_environment()
        address = self._platform.settings.endpoint
        return {
            **shell,
            "PATH": f"{TOOLS}:{shell['PATH']}",
            "AWS_REGION": record.region,
            "AWS_DEFAULT_REGION": record.region,
            "AWS_ENDPOINT_URL": address,
            "S3_ENDPOINT_URL": address,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint(address, record),
            # A busy machine may take longer than the second that clients grant AWS's own service.
            "AWS_METADATA_SERVICE_TIMEOUT": "5",
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5",
        }

    def _clear(self, record: Record) -> None:
        """Takes away what belongs to the present start; the disk and the console stay."""
        handle = self._handle(record)
        if handle is not None:
            self._backend.delete(handle)
        folder = self._folder(record)
        folder.keep_console()
        bundle.remove(folder.boot)

    def _handle(self, record: Record) -> Handle | None:
        return self._backend.find(self._workload_id(record), self._folder(record).boot)

    def _folder(self, record: Record) -> InstanceFolder:
        return instance_folder.of(self._platform.settings.home, record.name)

    def _workload_id(self, record: Record) -> str:
        return "/".join((record.kind, record.account, record.region, record.name))


def _failed(seen: Observation) -> bool:
    return seen.phase == "gone" or (seen.phase == "exited" and seen.reason in {"sandbox", "lost"})


def _reason(seen: Observation | None) -> tuple[str, str]:
    if seen is None or seen.phase == "gone" or seen.reason == "lost":
        return "Server.InternalError", "The processes of the instance were lost"
    if seen.reason == "oom":
        return "Client.InternalError", "The instance ran out of memory"
    return "Client.InstanceInitiatedShutdown", "Instance initiated shutdown"


def _because(record: Record, code: str, text: str) -> Record:
    reason = {"Code": code, "Message": f"{code}: {text}"}
    return replace(record, observed={**record.observed, "StateReason": reason, "StateTransitionReason": text})


def _greeting(record: Record, cpus: float, memory: int) -> str:
    text = f"Clary: {record.name} starts as {record.spec['InstanceType']} with {cpus:g} vCPUs, {memory / GIB:.1f} GiB"
    found = lookup(record.spec["InstanceType"])
    if found is None or (found.vcpus <= cpus and found.memory_bytes <= memory):
        return text
    return f"{text}; the type has {found.vcpus} and {found.memory_bytes / GIB:g}, this machine has no more"


def _fill(run: Path, user_data: str | None) -> None:
    """Puts in what the instance finds at /run/clary."""
    tools = run / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    for name, script in _COMMANDS.items():
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    if user_data:
        (run / "user-data").write_bytes(base64.b64decode(user_data))
