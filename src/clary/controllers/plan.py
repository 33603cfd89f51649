"""What an endpoint shall run: its configuration and models as they were when it was asked for.

A snapshot, because AWS lets the configuration and the models be deleted while the endpoint is in service.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clary.controllers.replica import Server
from clary.controllers.staging import StagingError

if TYPE_CHECKING:
    from clary.platform import Platform
    from clary.store.records import Record

Variant = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """The variants of one configuration with the models that they serve."""

    config: str
    variants: list[Variant]
    models: dict[str, dict[str, Any]]
    """The create request of each model by its name."""
    capture: dict[str, Any] | None = None

    @classmethod
    def read(cls, platform: Platform, endpoint: Record, config_name: str) -> Plan:
        """The plan of a configuration as it is now.

        Raises:
            StagingError: the configuration or one of its models is gone.
        """
        config = platform.records.get("endpoint-config", endpoint.account, endpoint.region, config_name)
        if config is None:
            raise StagingError(f"The endpoint configuration {config_name} does not exist.")
        models = {}
        for variant in config.spec["ProductionVariants"]:
            model = platform.records.get("model", endpoint.account, endpoint.region, variant["ModelName"])
            if model is None:
                raise StagingError(f"The model {variant['ModelName']} does not exist.")
            models[model.name] = model.spec
        return cls(config.name, config.spec["ProductionVariants"], models, config.spec.get("DataCaptureConfig"))

    def to_json(self) -> dict[str, Any]:
        """This plan as plain JSON values."""
        return asdict(self)

    @property
    def role_arn(self) -> str:
        """The execution role of the first model, in whose name captured data are stored."""
        return str(self.models[self.variants[0]["ModelName"]]["ExecutionRoleArn"])

    @property
    def capturing(self) -> dict[str, Any] | None:
        """The capture configuration, if it is switched on."""
        return self.capture if self.capture and self.capture.get("EnableCapture") else None

    def servers(self, desired: dict[str, Variant]) -> list[Server]:
        """The model servers to run; `desired` holds later wishes for counts and weights by variant."""
        return [
            self._server(variant, index)
            for variant in self.variants
            for index in range(count(variant, desired.get(variant["VariantName"], {})))
        ]

    def summary(self, desired: dict[str, Variant]) -> list[dict[str, Any]]:
        """ProductionVariants as DescribeEndpoint tells them."""
        return [_summary(variant, desired.get(variant["VariantName"], {})) for variant in self.variants]

    def patience_s(self, variant_name: str, default: float) -> float:
        """How long the container of a variant may take until its first good ping."""
        variant = next(variant for variant in self.variants if variant["VariantName"] == variant_name)
        return float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds", default))

    def _server(self, variant: Variant, index: int) -> Server:
        model = self.models[variant["ModelName"]]
        return Server(
            f"{self.config}/{variant['VariantName']}/{index}",
            model.get("PrimaryContainer") or model["Containers"][0],
            model["ExecutionRoleArn"],
            variant.get("InstanceType", "ml.m5.large"),
            variant.get("ServerlessConfig", {}).get("MemorySizeInMB", 0) << 20,
            isolated=model.get("EnableNetworkIsolation", False),
        )


def count(variant: Variant, wish: Variant) -> int:
    """How many instances a variant shall have."""
    return int({"DesiredInstanceCount": variant.get("InitialInstanceCount", 1), **wish}["DesiredInstanceCount"])


def weight(variant: Variant, wish: Variant) -> float:
    """The share of the traffic that a variant shall have, relative to the others."""
    return float({"DesiredWeight": variant.get("InitialVariantWeight", 1.0), **wish}["DesiredWeight"])


def _summary(variant: Variant, wish: Variant) -> dict[str, Any]:
    serverless = {"CurrentServerlessConfig": variant["ServerlessConfig"]} if "ServerlessConfig" in variant else {}
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": weight(variant, wish),
        "DesiredWeight": weight(variant, wish),
        "CurrentInstanceCount": count(variant, wish),
        "DesiredInstanceCount": count(variant, wish),
        **serverless,
    }
