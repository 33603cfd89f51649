"""The sizes of instances, as facts about AWS's types; a running instance gets at most what this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clary.instance_types import InstanceType, lookup, offered
from clary.services.service import in_thread

from . import filters, networks
from .errors import InsufficientInstanceCapacity, InvalidInstanceType, InvalidParameterValue, Unsupported
from .images import architecture
from .resources import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.api import ec2 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

MIB = 1 << 20

PREVIOUS = frozenset(
    ["a1", "c1", "c3", "c4", "d2", "f1", "g2", "g3", "g3s", "i2", "m1", "m2", "m3", "m4", "p2", "r3", "r4", "t1", "t2"]
)
"""Families of previous generations."""


class InstanceTypes(Family):
    """Types and where they are offered."""

    @in_thread
    def describe_instance_types(self, ctx: Context, request: api.DescribeInstanceTypesRequest) -> Document:  # noqa: ARG002  # the shape of a handler
        """vCPUs and memory of the types, in pages of 100."""
        names = request.get("InstanceTypes")
        types = [known_type(name) for name in names] if names else offered()
        return filters.describe("InstanceTypes", map(_info, types), {"MaxResults": 100, **request}, _FILTERS)

    @in_thread
    def describe_instance_type_offerings(
        self, ctx: Context, request: api.DescribeInstanceTypeOfferingsRequest
    ) -> Document:
        """Every type, in the region or in each zone as `LocationType` asks."""
        offerings = list(_offerings(ctx, request.get("LocationType") or "region"))
        return filters.describe("InstanceTypeOfferings", offerings, {"MaxResults": 1000, **request}, _OFFERING_FILTERS)


def known_type(name: str) -> InstanceType:
    """The facts of a type.

    Raises:
        InvalidInstanceType: it is not in the table.
    """
    found = None if name.startswith(("ml.", "system.")) else lookup(name)
    if found is None:
        raise InvalidInstanceType(f"The following supplied instance types do not exist: [{name}]")
    return found


def launchable_type(name: str) -> InstanceType:
    """The facts of a type that this machine can run.

    Raises:
        InvalidParameterValue: it is not in the table.
        InsufficientInstanceCapacity: it needs an accelerator that is not here.
    """
    found = None if name.startswith(("ml.", "system.")) else lookup(name)
    if found is None:
        raise InvalidParameterValue(f"Invalid value '{name}' for InstanceType.")
    if found.accelerators or found.gpus > len(list(Path("/dev").glob("nvidia[0-9]*"))):
        lacking = f"{found.accelerators} accelerators" if found.accelerators else f"{found.gpus} GPUs"
        raise InsufficientInstanceCapacity(
            f"We currently do not have sufficient {name} capacity: this machine lacks its {lacking}."
        )
    return found


def require_sandboxes(platform: Platform) -> None:
    """Refuses to start instances of any type where none could run.

    Raises:
        Unsupported: workloads of this machine are plain processes.
    """
    if not platform.sandboxes:
        raise Unsupported(
            "Clary cannot run instances here: they need sandboxes, which this machine does not allow or "
            "CLARY_ISOLATION switches off; `clary doctor` tells more."
        )


def _info(found: InstanceType) -> Document:
    info: Document = {
        "InstanceType": found.name,
        "CurrentGeneration": found.name.partition(".")[0] not in PREVIOUS,
        "FreeTierEligible": found.name in {"t2.micro", "t3.micro"},
        "SupportedUsageClasses": ["on-demand"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": ".metal" in found.name,
        "ProcessorInfo": {"SupportedArchitectures": [architecture()]},
        "VCpuInfo": {"DefaultVCpus": found.vcpus, "DefaultCores": found.vcpus, "DefaultThreadsPerCore": 1},
        "MemoryInfo": {"SizeInMiB": found.memory_bytes // MIB},
        "InstanceStorageSupported": False,
        "HibernationSupported": False,
        "BurstablePerformanceSupported": found.name.startswith("t"),
        "DedicatedHostsSupported": False,
        "AutoRecoverySupported": False,
    }
    if found.gpus:
        info["GpuInfo"] = {
            "Gpus": [{"Manufacturer": "AMD" if found.name.startswith("g4ad.") else "NVIDIA", "Count": found.gpus}]
        }
    return info


def _offerings(ctx: Context, location_type: str) -> Iterator[Document]:
    places = {
        "region": [ctx.region],
        "availability-zone": [networks.zone(ctx, letter)["ZoneName"] for letter in networks.ZONES],
        "availability-zone-id": [networks.zone(ctx, letter)["ZoneId"] for letter in networks.ZONES],
    }
    for found in offered():
        for place in places.get(location_type, ()):
            yield {"InstanceType": found.name, "LocationType": location_type, "Location": place}


_FILTERS = filters.table(
    "InstanceType CurrentGeneration BareMetal HibernationSupported BurstablePerformanceSupported "
    "InstanceStorageSupported FreeTierEligible DedicatedHostsSupported AutoRecoverySupported",
    {
        "free-tier-eligible": "FreeTierEligible",
        "processor-info.supported-architecture": "ProcessorInfo.SupportedArchitectures",
        "vcpu-info.default-vcpus": "VCpuInfo.DefaultVCpus",
        "vcpu-info.default-cores": "VCpuInfo.DefaultCores",
        "memory-info.size-in-mib": "MemoryInfo.SizeInMiB",
        "supported-usage-class": "SupportedUsageClasses",
        "supported-root-device-type": "SupportedRootDeviceTypes",
        "supported-virtualization-type": "SupportedVirtualizationTypes",
    },
)
_OFFERING_FILTERS = filters.table("InstanceType Location")
