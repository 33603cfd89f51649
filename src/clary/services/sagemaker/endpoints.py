"""Endpoint configurations and endpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.controllers import states
from clary.controllers.states import transition
from clary.errors import ValidationException
from clary.quotas import Quotas, instances

from . import kinds
from .kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL, Family, delete, describe, find, listing

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record

UNSUPPORTED = ("AsyncInferenceConfig", "ShadowProductionVariants", "ExplainerConfig")


def _config_members(_: Context, record: Record) -> Document:
    return {"DataCaptureConfig": record.spec["DataCaptureConfig"]} if "DataCaptureConfig" in record.spec else {}


def _endpoint_members(_: Context, record: Record) -> Document:
    return {"EndpointConfigName": record.observed["EndpointConfigName"]}


class EndpointConfigs(Family):
    """What an endpoint shall run."""

    def create_endpoint_config(
        self, ctx: Context, request: api.CreateEndpointConfigInput
    ) -> api.CreateEndpointConfigOutput:
        """Checks that the models are there and remembers the configuration."""
        for member in UNSUPPORTED:
            if request.get(member):
                raise ValidationException(f"Clary does not support {member} yet.")
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(names) != len(set(names)):
            raise ValidationException("Production variant names must be unique within an endpoint configuration.")
        for variant in request["ProductionVariants"]:
            self._check_variant(ctx, variant)
        return {"EndpointConfigArn": kinds.create(self._platform, ctx, ENDPOINT_CONFIG, request).arn}

    describe_endpoint_config = describe(ENDPOINT_CONFIG, _config_members)
    list_endpoint_configs = listing(ENDPOINT_CONFIG)
    delete_endpoint_config = delete(ENDPOINT_CONFIG)

    def _check_variant(self, ctx: Context, variant: api.ProductionVariant) -> None:
        if "ModelName" not in variant:
            raise ValidationException("Clary does not support inference components yet: ModelName is required.")
        find(self._platform, ctx, MODEL, variant["ModelName"])
        if "ServerlessConfig" not in variant and not {"InstanceType", "InitialInstanceCount"} <= variant.keys():
            raise ValidationException(
                "InstanceType and InitialInstanceCount are required for the production variant "
                f"{variant['VariantName']}."
            )


class Endpoints(Family):
    """Endpoints: model servers that stay."""

    def create_endpoint(self, ctx: Context, request: api.CreateEndpointInput) -> api.CreateEndpointOutput:
        """Hands the endpoint to its controller."""
        config = find(self._platform, ctx, ENDPOINT_CONFIG, request["EndpointConfigName"])
        observed = {"EndpointConfigName": request["EndpointConfigName"]}
        with self._platform.records.together():
            self._check_quota(ctx, config, {})
            record = kinds.create(
                self._platform, ctx, ENDPOINT, request, status="Creating", observed=observed, due=ctx.now
            )
        return {"EndpointArn": record.arn}

    def update_endpoint(self, ctx: Context, request: api.UpdateEndpointInput) -> api.UpdateEndpointOutput:
        """Puts another configuration in the place of the present one, without a gap in service."""
        record = find(self._platform, ctx, ENDPOINT, request["EndpointName"])
        config = find(self._platform, ctx, ENDPOINT_CONFIG, request["EndpointConfigName"])

        def updating(current: Record) -> Record:
            _refuse_busy(current, "update")
            self._check_quota(ctx, config, current.observed.get("Desired", {}), current.name)
            observed = {**current.observed, "WantedConfigName": request["EndpointConfigName"]}
            return replace(
                transition(states.ENDPOINT, replace(current, observed=observed), "Updating", ctx.now), due=ctx.now
            )

        return {"EndpointArn": self._platform.records.edit(record, updating).arn}

    def update_endpoint_weights_and_capacities(
        self, ctx: Context, request: api.UpdateEndpointWeightsAndCapacitiesInput
    ) -> api.UpdateEndpointWeightsAndCapacitiesOutput:
        """Changes the weights and instance counts of variants."""
        record = find(self._platform, ctx, ENDPOINT, request["EndpointName"])

        def updating(current: Record) -> Record:
            _refuse_busy(current, "update")
            desired = dict(current.observed.get("Desired", {}))
            known = {variant["VariantName"] for variant in current.observed.get("ProductionVariants", ())}
            for wish in request["DesiredWeightsAndCapacities"]:
                if wish["VariantName"] not in known:
                    raise ValidationException(f'The variant name "{wish["VariantName"]}" was not found.')
                desired[wish["VariantName"]] = {**desired.get(wish["VariantName"], {}), **wish}
            config = find(self._platform, ctx, ENDPOINT_CONFIG, current.observed["EndpointConfigName"])
            self._check_quota(ctx, config, desired, current.name)
            observed = {**current.observed, "Desired": desired}
            return replace(
                transition(states.ENDPOINT, replace(current, observed=observed), "Updating", ctx.now), due=ctx.now
            )

        return {"EndpointArn": self._platform.records.edit(record, updating).arn}

    def delete_endpoint(self, ctx: Context, request: api.DeleteEndpointInput) -> None:
        """Takes the endpoint out of service; it is gone once its processes are."""
        record = find(self._platform, ctx, ENDPOINT, request["EndpointName"])

        def deleting(current: Record) -> Record:
            if current.status == "Deleting":
                return current
            return replace(transition(states.ENDPOINT, current, "Deleting", ctx.now), due=ctx.now)

        self._platform.records.edit(record, deleting)
        self._platform.proxy.remove((record.account, record.region, record.name))

    describe_endpoint = describe(ENDPOINT, _endpoint_members)
    list_endpoints = listing(ENDPOINT)

    def _check_quota(self, ctx: Context, config: Record, desired: Document, name: str = "") -> None:
        wanted = instances(config.spec["ProductionVariants"], desired)
        Quotas(self._platform, ctx.account, ctx.region).check_endpoint(wanted, name)


def _refuse_busy(record: Record, verb: str) -> None:
    if record.status not in {"InService", "Failed"}:
        raise ValidationException(f'Cannot {verb} in-progress endpoint "{record.arn}".')
