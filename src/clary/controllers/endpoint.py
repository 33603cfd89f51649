"""Endpoints: from the configuration to model servers in service, and back to nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from clary.controllers.identity import SECRET, RoleGone, new_secret
from clary.controllers.plan import Plan, weight
from clary.controllers.replica import Replicas
from clary.controllers.shipping import ship_capture, ship_counters
from clary.controllers.staging import StagingError
from clary.controllers.states import ENDPOINT, transition

if TYPE_CHECKING:
    from datetime import datetime

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
SERVED = "Served"
"""Observed member: the plan that is in service."""

WANTED = "Wanted"
"""Observed member: the plan that is being brought up."""

Placed = dict[str, Any]
"""A replica as the record keeps it: Name, Variant, Config, Handle, Ready, Refusal, Started, Restarts, Leaving."""


class EndpointController:
    """Keeps the wanted number of model servers in service."""

    kind = "endpoint"

    def __init__(self, platform: Platform, backend: Backend) -> None:
        self._platform = platform
        self._backend = backend
        self._replicas = Replicas(platform, backend)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the endpoint's next step."""
        record = self._reap(self._observe(record))
        if record.status == "Deleting":
            return self._take_down(record, now)
        try:
            if record.status in {"Creating", "Updating", "RollingBack"}:
                return self._bring_up(self._planned(record), now)
            return self._keep_up(record, now)
        except (StagingError, RoleGone) as error:
            return self._failed(record, now, str(error))

    def give_up(self, record: Record, now: datetime, reason: str) -> Record:
        """The endpoint failed because the platform could not go on with it."""
        return self._failed(record, now, reason)

    # Status by status

    def _bring_up(self, record: Record, now: datetime) -> Record:
        plan = Plan(**record.observed[WANTED])
        record = self._place(record, plan, now)
        new = [placed for placed in _placed(record) if placed["Config"] == plan.config and not placed.get("Leaving")]
        failed = next((placed for placed in new if _hopeless(placed, plan, now)), None)
        if failed is not None:
            return self._failed(record, now, _no_ping(failed))
        if len(new) < len(plan.servers(_desired(record))) or not all(placed["Ready"] for placed in new):
            return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S))
        return self._in_service(record, plan, now)

    def _in_service(self, record: Record, plan: Plan, now: datetime) -> Record:
        wanted = {server.name for server in plan.servers(_desired(record))}
        observed = {name: value for name, value in record.observed.items() if name not in {"WantedConfigName", WANTED}}
        if record.status != "RollingBack":
            observed.pop("FailureReason", None)
        observed |= {
            SERVED: plan.to_json(),
            "RoleArn": plan.role_arn,
            "EndpointConfigName": plan.config,
            "ProductionVariants": plan.summary(_desired(record)),
            "DataCaptureConfig": _capture_summary(plan),
            "Replicas": [_leaving(placed, placed["Name"] not in wanted) for placed in _placed(record)],
        }
        record = transition(ENDPOINT, replace(record, observed=observed), "InService", now)
        self._route(record, plan)
        for placed in _placed(record):
            if placed.get("Leaving"):
                self._replicas.stop(placed["Handle"])
        return replace(record, due=now + timedelta(seconds=SERVING_LOOK_S))

    def _keep_up(self, record: Record, now: datetime) -> Record:
        if record.status != "InService":
            return replace(record, due=None)
        plan = Plan(**record.observed[SERVED])
        record = self._place(record, plan, now)
        self._route(record, plan)
        ship_capture(self._platform, record, plan.role_arn)
        ship_counters(self._platform, record, now)
        starting = any(not placed["Ready"] for placed in _placed(record))
        return replace(record, due=now + timedelta(seconds=STARTING_LOOK_S if starting else SERVING_LOOK_S))

    def _take_down(self, record: Record, now: datetime) -> Record | None:
        self._unroute(record)
        if not _placed(record):
            if SERVED in record.observed:
                ship_capture(self._platform, record, record.observed["RoleArn"])
            return None
        for placed in _placed(record):
            if not placed.get("Leaving"):
                self._replicas.stop(placed["Handle"])
        observed = {**record.observed, "Replicas": [_leaving(placed, True) for placed in _placed(record)]}
        return replace(record, observed=observed, due=now + timedelta(seconds=SERVING_LOOK_S))

    def _failed(self, record: Record, now: datetime, reason: str) -> Record:
        """Gives a new endpoint up; an updated one goes back to what served before."""
        if record.status == "Updating" and SERVED in record.observed:
            return self._roll_back(record, now, reason)
        if record.status == "InService":
            # What serves goes on serving; a server that cannot be replaced is tried again.
            observed = {**record.observed, "FailureReason": reason}
            return replace(record, observed=observed, due=now + timedelta(seconds=SERVING_LOOK_S))
        for placed in _placed(record):
            self._replicas.remove(record, placed["Name"], placed["Handle"])
        self._unroute(record)
        observed = {name: value for name, value in record.observed.items() if name != WANTED} | {"Replicas": []}
        target = "UpdateRollbackFailed" if record.status == "RollingBack" else "Failed"
        return replace(transition(ENDPOINT, replace(record, observed=observed), target, now, reason), due=None)

    def _roll_back(self, record: Record, now: datetime, reason: str) -> Record:
        served = Plan(**record.observed[SERVED])
        observed = {
            name: value for name, value in record.observed.items() if name not in {"WantedConfigName", "Desired"}
        }
        observed[WANTED] = served.to_json()
        observed["Replicas"] = [_leaving(placed, placed["Config"] != served.config) for placed in _placed(record)]
        for placed in observed["Replicas"]:
            if placed["Leaving"]:
                self._replicas.stop(placed["Handle"])
        return replace(transition(ENDPOINT, replace(record, observed=observed), "RollingBack", now, reason), due=now)

    # Replicas

    def _place(self, record: Record, plan: Plan, now: datetime) -> Record:
        """Starts the replicas that are wanted and not there."""
        there = {placed["Name"] for placed in _placed(record)}
        added: list[Placed] = [
            {
                "Name": server.name,
                "Variant": server.name.split("/")[1],
                "Config": plan.config,
                "Handle": self._replicas.start(record, server),
                "Ready": False,
                "Started": now.timestamp(),
                "Restarts": record.observed.get("Restarts", {}).get(server.name, 0),
            }
            for server in plan.servers(_desired(record))
            if server.name not in there
        ]
        return (
            replace(record, observed={**record.observed, "Replicas": [*_placed(record), *added]}) if added else record
        )

    def _observe(self, record: Record) -> Record:
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

    # Parts

    def _planned(self, record: Record) -> Record:
        """The record with its plan and its secret, stored before anything is started by them."""
        if WANTED in record.observed:
            return record
        config = record.observed.get("WantedConfigName") or record.observed["EndpointConfigName"]
        changed_size = record.status == "Updating" and "WantedConfigName" not in record.observed
        plan = Plan(**record.observed[SERVED]) if changed_size else Plan.read(self._platform, record, config)
        observed = {SECRET: new_secret(), **record.observed, WANTED: plan.to_json(), "Restarts": {}}
        observed["RoleArn"] = observed.get("RoleArn") or plan.role_arn
        return self._platform.records.update(replace(record, observed=observed))

    def _route(self, record: Record, plan: Plan) -> None:
        ready = [placed for placed in _placed(record) if placed["Ready"] and not placed.get("Leaving")]
        sockets: dict[str, list[Any]] = {variant["VariantName"]: [] for variant in plan.variants}
        for placed in ready:
            sockets[placed["Variant"]].append(self._replicas.socket(record, placed["Name"]))
        variants = [
            (name, weight(variant, _desired(record).get(name, {})), sockets[name])
            for variant in plan.variants
            if (name := variant["VariantName"])
        ]
        self._platform.invoke.on_loop(lambda: self._platform.proxy.set(_key(record), variants, plan.capturing))

    def _unroute(self, record: Record) -> None:
        self._platform.invoke.on_loop(lambda: self._platform.proxy.remove(_key(record)))


def _key(record: Record) -> tuple[str, str, str]:
    return record.account, record.region, record.name


def _placed(record: Record) -> list[Placed]:
    return list(record.observed.get("Replicas", ()))


def _desired(record: Record) -> dict[str, dict[str, Any]]:
    """The wishes of UpdateEndpointWeightsAndCapacities by variant."""
    return dict(record.observed.get("Desired", {}))


def _leaving(placed: Placed, leaving: bool) -> Placed:
    return {**placed, "Leaving": placed.get("Leaving", False) or leaving}


def _hopeless(placed: Placed, plan: Plan, now: datetime) -> bool:
    late = not placed["Ready"] and now.timestamp() - placed["Started"] > plan.patience_s(placed["Variant"], STARTUP_S)
    return late or bool(placed.get("Refusal")) or int(placed["Restarts"]) >= RESTARTS


def _capture_summary(plan: Plan) -> dict[str, Any] | None:
    capture = plan.capture
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
