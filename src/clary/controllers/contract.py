"""The files and variables that every job finds, whatever its image.

Source: the SageMaker developer guide, "How Amazon SageMaker Provides Training Information".
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.agent.workload import Bind
from clary.controllers import leavings
from clary.controllers.capacity import Need, gpus
from clary.instance_types import GIB, lookup

if TYPE_CHECKING:
    from clary.compute.base import Observation
    from clary.controllers.cluster import Host

PACKAGES = "CLARY_ENV_CACHE"
"""Variable by which the launcher and the model server know the package folder."""

NO_SANDBOX = "The job runs as a plain process, since this machine allows no sandbox; `clary doctor` tells why."
NO_ROOM = "ClientError: No space left on device: the job failed while the disk of this machine was full."
LOST = "InternalServerError: We encountered an internal error. Please try again. (The processes of the job were lost.)"


def size(instance_type: str) -> tuple[float, int]:
    """vCPUs and memory in bytes of an instance type, no more than this machine has."""
    found = lookup(instance_type)
    machine_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    processors = os.cpu_count() or 1
    if found is None:
        return float(processors), machine_memory
    return float(min(found.vcpus, processors)), min(found.memory_bytes, machine_memory)


def need(instance_type: str, count: int) -> Need:
    """What `count` instances take of this machine."""
    found = lookup(instance_type)
    return Need(size(instance_type)[0] * count, found.gpus * count if found else 0)


def clamped(instance_type: str) -> tuple[str, ...]:
    """A line for the log of a job that gets less than its instance type has; none when it gets all."""
    found = lookup(instance_type)
    if found is None:
        return (f"The size of {instance_type} is not known; the job may use all of this machine.",)
    vcpus, memory = size(instance_type)
    here = min(found.gpus, gpus())
    if (vcpus, memory, here, 0) == (found.vcpus, found.memory_bytes, found.gpus, found.accelerators):
        return ()
    others = f", and {found.accelerators} other accelerators" if found.accelerators else ""
    return (
        f"{instance_type} has {_amount(found.vcpus, found.memory_bytes, found.gpus)}{others}; on this machine the job "
        f"has {_amount(vcpus, memory, here)}.",
    )


def _amount(vcpus: float, memory_bytes: int, gpu_count: int) -> str:
    return f"{vcpus:g} vCPUs, {memory_bytes / GIB:.4g} GiB and {gpu_count} GPUs"


def base_environment() -> dict[str, str]:
    """What a shell and Python need inside."""
    folder = Path(sys.executable).parent
    return {
        "PATH": f"{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/root",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def package_folder(home: Path, role_arn: str) -> Bind:
    """Where the packages that scripts ask for are kept; inside it has the same path.

    Shared by the jobs of one role only: whoever can write here runs code in the next job.
    """
    folder = home / "packages" / hashlib.sha256(role_arn.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return Bind(folder, str(folder), writable=True)


def resource_config(instance_type: str, host: Host) -> dict[str, Any]:
    """resourceconfig.json of one host of a cluster."""
    group, hosts = "homogeneousCluster", list(host.addresses)
    return {
        "current_host": host.name,
        "current_instance_type": instance_type,
        "current_group_name": group,
        "hosts": hosts,
        # The hosts of a cluster on this machine reach each other by its loopback device.
        "network_interface_name": "lo",
        "instance_groups": [{"instance_group_name": group, "instance_type": instance_type, "hosts": hosts}],
    }


def write_training_config(ml: Path, spec: dict[str, Any], host: Host) -> None:
    """Writes hyperparameters.json, inputdataconfig.json and resourceconfig.json."""
    config = ml / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    channels = {channel["ChannelName"]: _channel(channel, spec) for channel in spec.get("InputDataConfig", ())}
    files = {
        "hyperparameters": spec.get("HyperParameters", {}),
        "inputdataconfig": channels,
        "resourceconfig": resource_config(spec["ResourceConfig"]["InstanceType"], host),
    }
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))


def failure_text(bundle: Path, seen: Observation, instance_type: str) -> str:
    """The failure reason of a training job; empty when it succeeded."""
    if seen.reason == "oom":
        found = lookup(instance_type)
        memory = f" ({instance_type} has {found.memory_bytes // GIB} GiB)" if found else ""
        return (
            "ClientError: Please use an instance type with more memory, or reduce the size of training data processed "
            f"on an instance{memory}."
        )
    if seen.exit_code is None:
        return LOST
    if seen.exit_code == 0:
        return ""
    told = leavings.part(bundle, "ml/output/failure", 1024).decode("utf-8", "replace").strip()
    if told.startswith("ClientError"):
        return told
    if seen.reason == "disk" and not told:
        return NO_ROOM
    return f"AlgorithmError: {told}, exit code: {seen.exit_code}"


def _channel(channel: dict[str, Any], spec: dict[str, Any]) -> dict[str, str]:
    s3 = channel["DataSource"]["S3DataSource"]
    entry = {
        "TrainingInputMode": channel.get("InputMode") or spec["AlgorithmSpecification"]["TrainingInputMode"],
        "S3DistributionType": s3.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if channel.get("ContentType"):
        entry["ContentType"] = channel["ContentType"]
    return entry
