"""Warm pools: the instances of a training job that stay for the next one that matches.

A pool is no record of its own: it is told by the record of the job that had it last. Source: "SageMaker AI Managed Warm
Pools", SageMaker developer guide.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.store.records import Query

if TYPE_CHECKING:
    from clary.services.service import Document, Members
    from clary.store.records import Record, Records

STATUS = "WarmPoolStatus"
"""Observed member: what Describe tells of the pool."""

POOL = "WarmPool"
"""Observed member: Id and Began of the pool; From, the job that had it before; At, since when and Until it is kept."""

LONGEST = timedelta(days=28)
"""How long a pool may go from job to job."""

FLAGS = ("EnableInterContainerTrafficEncryption", "EnableNetworkIsolation", "SessionChainingConfig")


def keep_alive_s(spec: Members) -> int:
    """How long the instances of a training job shall be kept after its end."""
    return int(spec["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0))


def status(record: Record) -> str:
    """`InUse`, `Available`, `Reused` or `Terminated`; empty without a pool."""
    return str(record.observed.get(STATUS, {}).get("Status", ""))


def claim(records: Records, place: tuple[str, str], name: str, spec: Members, now: datetime) -> Document:
    """What is observed of a new training job: the pool that it takes over or begins; empty without one.

    `place` is its account and region. To be called together with what stores the job, so that no two get one pool.
    """
    for earlier in _kept(records, place, spec):
        if now < moment(earlier, "Until") and _traits(earlier.spec) == _traits(spec):
            records.update(replace(ended(earlier, "Reused", now, ReusedByJob=name), due=now))
            pool = {key: earlier.observed[POOL][key] for key in ("Id", "Began")}
            return {STATUS: {"Status": "InUse"}, POOL: {**pool, "From": earlier.name}}
    if not keep_alive_s(spec):
        return {}
    return {STATUS: {"Status": "InUse"}, POOL: {"Id": uuid.uuid4().hex, "Began": now}}


def kept(record: Record, now: datetime) -> Record:
    """The record of a job whose instances wait for the next one from now on."""
    pool = {**record.observed[POOL], "At": now}
    return _until(replace(record, observed={**record.observed, STATUS: {"Status": "Available"}, POOL: pool}))


def prolonged(record: Record, seconds: int, now: datetime) -> Record:
    """The record of such a job after its period was changed."""
    resources = {**record.spec["ResourceConfig"], "KeepAlivePeriodInSeconds": seconds}
    return _until(replace(record, spec={**record.spec, "ResourceConfig": resources}, modified=now))


def ended(record: Record, how: str, now: datetime, **members: str) -> Record:
    """The record of a job that has its pool no more: it was `Reused` or `Terminated`."""
    told = {"Status": how, "ResourceRetainedBillableTimeInSeconds": retained_s(record, now), **members}
    return replace(record, observed={**record.observed, STATUS: told})


def retained_s(record: Record, now: datetime) -> int:
    """Whole seconds for which the instances have been kept."""
    return max(0, int((now - moment(record, "At")).total_seconds())) if "At" in record.observed[POOL] else 0


def moment(record: Record, member: str) -> datetime:
    """A moment of the pool."""
    value: Any = record.observed[POOL][member]
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _until(record: Record) -> Record:
    until = moment(record, "At") + timedelta(seconds=keep_alive_s(record.spec))
    until = min(until, moment(record, "Began") + LONGEST)
    return replace(record, observed={**record.observed, POOL: {**record.observed[POOL], "Until": until}}, due=until)


def _kept(records: Records, place: tuple[str, str], spec: Members) -> list[Record]:
    """The jobs of this role and type whose instances wait, the one first that has waited longest."""
    where = (("RoleArn", spec["RoleArn"]), ("ResourceConfig.InstanceType", spec["ResourceConfig"]["InstanceType"]))
    available = ((f"{STATUS}.Status", "Available"),)
    if spec.get("EnableManagedSpotTraining"):
        return []
    return records.all(Query("training-job", *place, where=where, seen=available, waiting=True, order_by="modified"))


def _traits(spec: Members) -> list[Any]:
    """What must be the same for one job to follow another on the same instances."""
    resources, network = spec["ResourceConfig"], spec.get("VpcConfig", {})
    return [
        spec["RoleArn"],
        resources["InstanceType"],
        resources.get("InstanceCount", 1),
        *(resources.get(member) for member in ("VolumeKmsKeyId", "VolumeSizeInGB")),
        *(sorted(network.get(member, ())) for member in ("SecurityGroupIds", "Subnets")),
        *(spec.get(member) or None for member in FLAGS),
    ]
