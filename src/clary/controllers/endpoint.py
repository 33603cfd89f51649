"""Endpoints: from the configuration to model servers in service, and back to nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.controllers.identity import SECRET, RoleGone, new_secret
from clary.controllers.replica import Replicas, Server
from clary.controllers.shipping import ship_capture, ship_counters
from clary.controllers.staging import StagingError
from clary.controllers.states import ENDPOINT, transition

if TYPE_CHECKING:
    from clary.compute.base import Backend
    from clary.platform import Platform
    from clary.store.records import Record

STARTUP_S = 240.0
"""How long a container may take until its first good ping, as on AWS."""

STARTING_LOOK_S = 0.1
SERVING_LOOK_S = 2.0
RESTARTS = 3
"""How often a server that ends by itself is started again before a new endpoint is given up."""

LOG_GROUP = "/aws/sagemaker/Endpoints/"

Placed = dict[str, Any]
"""A replica as the record keeps it: Name, Variant, Config, Handle, Ready, Started, Restarts."""


class EndpointController:
    """Keeps the wanted number of model servers in service."""

    kind = "endpoint"

    def __init__(self, platform: Platform, backend: Backend) -> None:
        self._platform = platform
        self._backend = backend
        self._replicas = Replicas(platform, backend)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the endpoint's next step."""
        record = self._with_role(record)
        record = self._reap(self._observe(record, now))
        if record.status == "Deleting":
            return self._take_down(record, now)
        if record.status in {"Creating", "Updating", "RollingBack"}:
            return self._bring_up(record, now)
        return self._keep_up(record, now)

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The endpoint failed because the platform could not go on with it."""
        return self._failed(record, now, reason)

    # Status by status

    def _bring_up(self, record: Record, now: datetime) -> Record:
        config = self._config(record, self._wanted_config(record))
        if config is None:
            return self._failed(
                record, now, f"The endpoint configuration {self._wanted_config(record)} does not exist."
            )
        try:
            record = self._place(record, config, now)
        except (StagingError, RoleGone) as error:
            return self._failed(record, now, str(error))
        new = [placed for placed in _placed(record) if placed["Config"] == config.name]
        failed = next((placed for placed in new if self._hopeless(placed, config, now)), None)
        if failed is not None:
            return self._failed(record, now, _no_ping(failed))
        if not all(placed["Ready"] for placed in new):
            return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S))
        return self._in_service(record, config, now)

    def _in_service(self, record: Record, config: Record, now: datetime) -> Record:
        wanted = {server.name for server in self._servers(record, config)}
        observed = {key: value for key, value in record.observed.items() if key not in {"WantedConfigName"}}
        observed["EndpointConfigName"] = config.name
        observed["ProductionVariants"] = self._summary(record, config)
        observed["DataCaptureConfig"] = _capture_summary(config)
        observed["Replicas"] = [
            placed if placed["Name"] in wanted else {**placed, "Leaving": True} for placed in _placed(record)
        ]
        if record.status != "RollingBack":
            observed.pop("FailureReason", None)
        record = transition(ENDPOINT, replace(record, observed=observed), "InService", now)
        self._route(record, config)
        for placed in _placed(record):
            if placed.get("Leaving"):
                self._replicas.stop(placed["Handle"])
        return replace(record, due=now + timedelta(seconds=SERVING_LOOK_S))

    def _keep_up(self, record: Record, now: datetime) -> Record:
        if record.status != "InService":
            return replace(record, due=None)
        config = self._config(record, record.observed["EndpointConfigName"]) or self._remembered(record)
        try:
            record = self._place(record, config, now)
        except (StagingError, RoleGone) as error:
            record = replace(record, observed={**record.observed, "FailureReason": str(error)})
        self._route(record, config)
        ship_capture(self._platform, record, record.observed["RoleArn"])
        ship_counters(self._platform, record, now)
        starting = any(not placed["Ready"] for placed in _placed(record))
        return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S if starting else SERVING_LOOK_S))

    def _take_down(self, record: Record, now: datetime) -> Record | None:
        self._unroute(record)
        for placed in _placed(record):
            if not placed.get("Leaving"):
                self._replicas.stop(placed["Handle"])
        observed = {**record.observed, "Replicas": [{**placed, "Leaving": True} for placed in _placed(record)]}
        if not observed["Replicas"]:
            if "RoleArn" in record.observed:
                ship_capture(self._platform, record, record.observed["RoleArn"])
            return None
        return replace(record, observed=observed, due=now + timedelta(seconds=SERVING_LOOK_S))

    def _failed(self, record: Record, now: datetime, reason: str) -> Record:
        """Gives a new endpoint up; an updated one goes back to what served before."""
        if record.status == "Updating" and "Served" in record.observed:
            observed = {
                key: value for key, value in record.observed.items() if key not in {"WantedConfigName", "Desired"}
            }
            observed["Replicas"] = [
                {**placed, "Leaving": placed["Config"] != record.observed["EndpointConfigName"]}
                for placed in _placed(record)
            ]
            back = transition(ENDPOINT, replace(record, observed=observed), "RollingBack", now, reason)
            return replace(back, due=now)
        for placed in _placed(record):
            self._replicas.remove(record, placed["Name"], placed["Handle"])
        observed = {**record.observed, "Replicas": []}
        self._unroute(record)
        target = "UpdateRollbackFailed" if record.status == "RollingBack" else "Failed"
        return replace(transition(ENDPOINT, replace(record, observed=observed), target, now, reason), due=None)

    # Replicas

    def _place(self, record: Record, config: Record, now: datetime) -> Record:
        """Starts the replicas that are wanted and not there."""
        there = {placed["Name"] for placed in _placed(record) if not placed.get("Leaving")}
        added: list[Placed] = []
        for server in self._servers(record, config):
            if server.name not in there:
                handle = self._replicas.start(record, server)
                restarts = record.observed.get("Restarts", {}).get(server.name, 0)
                variant = server.name.split("/")[1]
                added.append(
                    {"Name": server.name, "Variant": variant, "Config": config.name, "Handle": handle, "Ready": False,
                     "Started": now.timestamp(), "Restarts": restarts}
                )  # fmt: skip
        return (
            replace(record, observed={**record.observed, "Replicas": [*_placed(record), *added]}) if added else record
        )

    def _observe(self, record: Record, now: datetime) -> Record:  # noqa: ARG002  # symmetric with the other parts
        """Looks at every replica: its log, and whether it answers."""
        replicas = []
        for placed in _placed(record):
            stream = f"{placed['Variant']}/{placed['Name'].replace('/', '-')}"
            self._replicas.take_over_log(record, placed["Name"], LOG_GROUP + record.name, stream)
            if not placed["Ready"] and not placed.get("Leaving"):
                health = self._replicas.health(record, placed["Name"])
                placed = {**placed, "Ready": health.ready, "Refusal": health.refusal}  # noqa: PLW2901  # a copy
            replicas.append(placed)
        return replace(record, observed={**record.observed, "Replicas": replicas}) if replicas else record

    def _reap(self, record: Record) -> Record:
        """Removes the replicas that have ended, so that those still wanted are started again."""
        left, restarts = [], dict(record.observed.get("Restarts", {}))
        for placed in _placed(record):
            if self._backend.poll(placed["Handle"]).phase not in {"exited", "gone"}:
                left.append(placed)
                continue
            self._replicas.remove(record, placed["Name"], placed["Handle"])
            if not placed.get("Leaving"):
                restarts[placed["Name"]] = restarts.get(placed["Name"], 0) + 1
        return replace(record, observed={**record.observed, "Replicas": left, "Restarts": restarts})

    def _hopeless(self, placed: Placed, config: Record, now: datetime) -> bool:
        variant = next(
            entry for entry in config.spec["ProductionVariants"] if entry["VariantName"] == placed["Variant"]
        )
        patience = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_S)
        late: bool = not placed["Ready"] and now.timestamp() - placed["Started"] > patience
        return late or bool(placed.get("Refusal")) or int(placed["Restarts"]) >= RESTARTS

    def _servers(self, record: Record, config: Record) -> list[Server]:
        """The replicas that a configuration asks for."""
        servers: list[Server] = []
        for variant in config.spec["ProductionVariants"]:
            model = self._platform.records.get("model", record.account, record.region, variant["ModelName"])
            if model is None:
                raise StagingError(f"The model {variant['ModelName']} does not exist.")
            container = model.spec.get("PrimaryContainer") or model.spec["Containers"][0]
            memory = variant.get("ServerlessConfig", {}).get("MemorySizeInMB", 0) << 20
            servers.extend(
                Server(
                    f"{config.name}/{variant['VariantName']}/{index}",
                    container,
                    model.spec["ExecutionRoleArn"],
                    variant.get("InstanceType", "ml.m5.large"),
                    memory,
                    isolated=model.spec.get("EnableNetworkIsolation", False),
                )
                for index in range(self._count(record, variant))
            )
        return servers

    # Parts

    def _count(self, record: Record, variant: dict[str, Any]) -> int:
        wish = record.observed.get("Desired", {}).get(variant["VariantName"], {})
        return int(wish.get("DesiredInstanceCount", variant.get("InitialInstanceCount", 1)))

    def _weight(self, record: Record, variant: dict[str, Any]) -> float:
        wish = record.observed.get("Desired", {}).get(variant["VariantName"], {})
        return float(wish.get("DesiredWeight", variant.get("InitialVariantWeight", 1.0)))

    def _summary(self, record: Record, config: Record) -> list[dict[str, Any]]:
        return [
            {
                "VariantName": variant["VariantName"],
                "CurrentWeight": self._weight(record, variant),
                "DesiredWeight": self._weight(record, variant),
                **({"CurrentServerlessConfig": variant["ServerlessConfig"]} if "ServerlessConfig" in variant else {}),
                "CurrentInstanceCount": self._count(record, variant),
                "DesiredInstanceCount": self._count(record, variant),
            }
            for variant in config.spec["ProductionVariants"]
        ]

    def _route(self, record: Record, config: Record) -> None:
        ready = [placed for placed in _placed(record) if placed["Ready"] and not placed.get("Leaving")]
        variants = [
            (
                variant["VariantName"],
                self._weight(record, variant),
                [
                    self._replicas.socket(record, placed["Name"])
                    for placed in ready
                    if placed["Variant"] == variant["VariantName"]
                ],
            )
            for variant in config.spec["ProductionVariants"]
        ]
        capture = config.spec.get("DataCaptureConfig")
        key = (record.account, record.region, record.name)
        self._platform.invoke.on_loop(
            lambda: self._platform.proxy.set(key, variants, capture if capture and capture["EnableCapture"] else None)
        )

    def _unroute(self, record: Record) -> None:
        key = (record.account, record.region, record.name)
        self._platform.invoke.on_loop(lambda: self._platform.proxy.remove(key))

    def _wanted_config(self, record: Record) -> str:
        return str(record.observed.get("WantedConfigName") or record.observed["EndpointConfigName"])

    def _config(self, record: Record, name: str) -> Record | None:
        return self._platform.records.get("endpoint-config", record.account, record.region, name)

    def _remembered(self, record: Record) -> Record:
        raise StagingError(f"The endpoint configuration {record.observed['EndpointConfigName']} does not exist.")

    def _with_role(self, record: Record) -> Record:
        """The record with its secret and the role of its first model."""
        if SECRET in record.observed:
            return record
        role = ""
        config = self._config(record, self._wanted_config(record))
        if config is not None:
            name = config.spec["ProductionVariants"][0]["ModelName"]
            model = self._platform.records.get("model", record.account, record.region, name)
            role = model.spec["ExecutionRoleArn"] if model else ""
        observed = {**record.observed, SECRET: new_secret(), "RoleArn": role, "Replicas": []}
        return self._platform.records.update(replace(record, observed=observed))


def _placed(record: Record) -> list[Placed]:
    return list(record.observed.get("Replicas", ()))


def _capture_summary(config: Record) -> dict[str, Any] | None:
    capture = config.spec.get("DataCaptureConfig")
    if not capture:
        return None
    return {
        "EnableCapture": bool(capture.get("EnableCapture")),
        "CaptureStatus": "Started" if capture.get("EnableCapture") else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }


def _no_ping(placed: Placed) -> str:
    told = f" ({placed['Refusal']})" if placed.get("Refusal") else ""
    return (
        f"The primary container for production variant {placed['Variant']} did not pass the ping health check. "
        f"Please check CloudWatch logs for this endpoint.{told}"
    )
