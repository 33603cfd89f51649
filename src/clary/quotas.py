"""How many instances of a type an account may use at once for a purpose, and how many it uses.

Source: "Amazon SageMaker endpoints and quotas", AWS General Reference, and the refusals of SageMaker.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.errors import ServiceError
from clary.store.records import Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.platform import Platform
    from clary.protocol.model import Models
    from clary.store.records import Record

SAGEMAKER = "sagemaker"
SAGEMAKER_NAME = "Amazon SageMaker"

QUOTA = "service-quota"
"""Kind of the records that keep what an account may use where that is not the default."""

ACTIVE = ("InProgress", "Stopping")
POOL = (("WarmPoolStatus.Status", "Available"),)
"""What is observed of a training job whose instances are kept for the next one."""


class ResourceLimitExceeded(ServiceError):
    """The account uses as much as it may."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What instances are used for."""

    words: str
    """As the name of the quota tells it, after the instance type."""
    enumeration: str
    """The shape of SageMaker's model that lists the instance types."""
    kind: str = ""
    at: str = ""
    """Where the requests of this kind tell InstanceType and InstanceCount."""
    where: tuple[tuple[str, str | bool], ...] = ()


SPOT_FLAG = "EnableManagedSpotTraining"
TRAINING = Purpose(
    "training job usage", "TrainingInstanceType", "training-job", "ResourceConfig", ((SPOT_FLAG, False),)
)
SPOT = Purpose(
    "spot training job usage", "TrainingInstanceType", "training-job", "ResourceConfig", ((SPOT_FLAG, True),)
)
WARM_POOL = Purpose("training warm pool usage", "TrainingInstanceType", "training-job", "ResourceConfig")
PROCESSING = Purpose(
    "processing job usage", "ProcessingInstanceType", "processing-job", "ProcessingResources.ClusterConfig"
)
TRANSFORM = Purpose("transform job usage", "TransformInstanceType", "transform-job", "TransformResources")
ENDPOINT = Purpose("endpoint usage", "ProductionVariantInstanceType")
PURPOSES = (TRAINING, SPOT, WARM_POOL, PROCESSING, TRANSFORM, ENDPOINT)


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit for each account and region."""

    purpose: Purpose
    instance_type: str

    @property
    def name(self) -> str:
        """`ml.m5.large for training job usage`."""
        return f"{self.instance_type} for {self.purpose.words}"

    @property
    def code(self) -> str:
        """Names it among the quotas of the service: of AWS's form, but not AWS's own."""
        return f"L-{hashlib.sha256(self.name.encode()).hexdigest()[:8].upper()}"


def quotas(models: Models) -> Iterator[Quota]:
    """Every quota there is."""
    service = models.service(SAGEMAKER)
    for purpose in PURPOSES:
        for instance_type in service.shape_for(purpose.enumeration).enum:
            yield Quota(purpose, instance_type)


class Quotas:
    """The limits of one account in one region."""

    def __init__(self, platform: Platform, account: str, region: str) -> None:
        self._records = platform.records
        self._account = account
        self._region = region
        self.default = platform.settings.instance_quota

    def arn(self, quota: Quota) -> str:
        """The ARN of a quota."""
        return arn.build("servicequotas", self._region, self._account, f"{SAGEMAKER}/{quota.code}")

    def limit(self, quota: Quota) -> int:
        """How many instances may be used."""
        record = self._records.recall(QUOTA, self.arn(quota))
        return int(record.spec["Value"]) if record else self.default

    def used(self, quota: Quota) -> int:
        """How many instances are used."""
        if quota.purpose is ENDPOINT:
            return sum(self._variants(endpoint).get(quota.instance_type, 0) for endpoint in self._endpoints())
        kept = self._total(quota, seen=POOL) if quota.purpose in {TRAINING, WARM_POOL} else 0
        return kept if quota.purpose is WARM_POOL else kept + self._total(quota, statuses=ACTIVE)

    def check(self, quota: Quota, more: int) -> None:
        """Refuses to use more instances than may be used; to be called together with what makes them used.

        Raises:
            ResourceLimitExceeded: in AWS's words.
        """
        if more <= 0:
            return
        limit, used = self.limit(quota), self.used(quota)
        if used + more > limit:
            raise ResourceLimitExceeded(
                f"The account-level service limit '{quota.name}' is {limit} Instances, with current utilization of "
                f"{used} Instances and a request delta of {more} Instances. Please use AWS Service Quotas to request "
                "an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request "
                "an increase for this quota."
            )

    def check_endpoint(self, wanted: Mapping[str, int], name: str = "") -> None:
        """The same for all instances of an endpoint, by type; `name` is that of an endpoint which has some already.

        Raises:
            ResourceLimitExceeded: in AWS's words.
        """
        endpoint = self._records.get("endpoint", self._account, self._region, name) if name else None
        has = self._variants(endpoint) if endpoint else {}
        for instance_type, number in wanted.items():
            self.check(Quota(ENDPOINT, instance_type), number - has.get(instance_type, 0))

    def _total(self, quota: Quota, **query: Any) -> int:
        purpose = quota.purpose
        where = ((f"{purpose.at}.InstanceType", quota.instance_type), *purpose.where)
        found = Query(purpose.kind, self._account, self._region, where=where, waiting=True, **query)
        return self._records.total(found, f"{purpose.at}.InstanceCount")

    def _endpoints(self) -> Iterator[Record]:
        for endpoint in self._records.all(Query("endpoint", self._account, self._region)):
            if endpoint.status not in {"Failed", "Deleting"}:
                yield endpoint

    def _variants(self, endpoint: Record) -> dict[str, int]:
        name = endpoint.observed.get("WantedConfigName") or endpoint.observed["EndpointConfigName"]
        config = self._records.get("endpoint-config", self._account, self._region, name)
        desired = endpoint.observed.get("Desired", {})
        return instances(config.spec["ProductionVariants"] if config else (), desired)


def instances(variants: Any, desired: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many instances of each type production variants have; `desired` holds later wishes by variant."""
    counts: dict[str, int] = {}
    for variant in variants:
        if "InstanceType" in variant:
            wish = desired.get(variant["VariantName"], {})
            number = wish.get("DesiredInstanceCount", variant.get("InitialInstanceCount", 1))
            counts[variant["InstanceType"]] = counts.get(variant["InstanceType"], 0) + int(number)
    return counts
