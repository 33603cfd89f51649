"""Service Quotas: how many instances SageMaker lets an account use at once; requests for more are granted at once."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from clary import quotas
from clary.auth.check import Check
from clary.errors import NotSupported, ServiceError
from clary.quotas import QUOTA, SAGEMAKER, SAGEMAKER_NAME, Quota, Quotas
from clary.services.service import Service, in_thread
from clary.store.records import Query, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.api import service_quotas as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

T = TypeVar("T")

REQUEST = "service-quota-request"
"""Kind of the records that keep what was asked for."""

PAGE = 100
UNIT = "None"
SERVICE_INFO = {"ServiceCode": SAGEMAKER, "ServiceName": SAGEMAKER_NAME}
OF_A_QUOTA = ("RequestServiceQuotaIncrease",)
"""Operations that need a permission on the quota; all others need it on everything."""


class NoSuchResourceException(ServiceError):
    """There is no such service, quota or request."""


class IllegalArgumentException(ServiceError):
    """The request asks for what cannot be."""


class InvalidPaginationTokenException(ServiceError):
    """The token was not given out here."""


class ServiceQuotas:
    """The quotas of the account in one region."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._records = platform.records

    def list_services(self, ctx: Context, request: api.ListServicesRequest) -> Document:  # noqa: ARG002  # as all handlers
        """SageMaker: the one service with quotas here."""
        return {"Services": [SERVICE_INFO]}

    @in_thread
    def list_service_quotas(self, ctx: Context, request: api.ListServiceQuotasRequest) -> Document:
        """What the account may use."""
        _known_service(request)
        found = [quota for quota in self._quotas() if request.get("QuotaCode", quota.code) == quota.code]
        if not found:
            raise _no_quota()
        page, more = _page(found, request)
        return {"Quotas": [self._told(ctx, quota) for quota in page], **more}

    @in_thread
    def list_aws_default_service_quotas(
        self, ctx: Context, request: api.ListAWSDefaultServiceQuotasRequest
    ) -> Document:
        """What an account may use that has not asked for more."""
        _known_service(request)
        page, more = _page(self._quotas(), request)
        return {"Quotas": [self._default(ctx, quota) for quota in page], **more}

    @in_thread
    def get_service_quota(self, ctx: Context, request: api.GetServiceQuotaRequest) -> Document:
        """What the account may use of one type for one purpose."""
        return {"Quota": self._told(ctx, self._find(request))}

    @in_thread
    def get_aws_default_service_quota(self, ctx: Context, request: api.GetAWSDefaultServiceQuotaRequest) -> Document:
        """What an account may use that has not asked for more."""
        return {"Quota": self._default(ctx, self._find(request))}

    @in_thread
    def request_service_quota_increase(self, ctx: Context, request: api.RequestServiceQuotaIncreaseRequest) -> Document:
        """Grants a higher quota; it counts from now on."""
        if request.get("ContextId"):
            raise NotSupported("Clary does not support quotas of single resources (ContextId).")
        quota = self._find(request)
        limits = self._limits(ctx)
        desired = request["DesiredValue"]
        with self._records.together():
            limit = limits.limit(quota)
            if desired <= limit:
                which = "default" if limit == limits.default else "current"
                raise IllegalArgumentException(
                    f"You must provide a quota value greater than the {which} quota value of {float(limit)}"
                )
            self._set(ctx, quota, desired)
            asked = self._records.create(_request(ctx, quota, desired))
        return {"RequestedQuota": self._requested(ctx, asked)}

    @in_thread
    def list_requested_service_quota_change_history(
        self, ctx: Context, request: api.ListRequestedServiceQuotaChangeHistoryRequest
    ) -> Document:
        """What the account has asked for, the newest first."""
        if "ServiceCode" in request:
            _known_service(request)
        return self._history(ctx, request)

    @in_thread
    def list_requested_service_quota_change_history_by_quota(
        self, ctx: Context, request: api.ListRequestedServiceQuotaChangeHistoryByQuotaRequest
    ) -> Document:
        """What the account has asked for of one quota, the newest first."""
        self._find(request)
        return self._history(ctx, request)

    def get_requested_service_quota_change(
        self, ctx: Context, request: api.GetRequestedServiceQuotaChangeRequest
    ) -> Document:
        """One request for a higher quota."""
        asked = self._records.get(REQUEST, ctx.account, ctx.region, request["RequestId"])
        if asked is None:
            raise NoSuchResourceException("The request failed because the specified request does not exist.")
        return {"RequestedQuota": self._requested(ctx, asked)}

    def _quotas(self) -> list[Quota]:
        return sorted(quotas.quotas(self._platform.models), key=lambda quota: quota.code)

    def _limits(self, ctx: Context) -> Quotas:
        return Quotas(self._platform, ctx.account, ctx.region)

    def _find(self, request: Members) -> Quota:
        _known_service(request)
        for quota in quotas.quotas(self._platform.models):
            if quota.code == request["QuotaCode"]:
                return quota
        raise _no_quota()

    def _told(self, ctx: Context, quota: Quota) -> Document:
        return {**self._default(ctx, quota), "Value": self._limits(ctx).limit(quota)}

    def _default(self, ctx: Context, quota: Quota) -> Document:
        return {
            **SERVICE_INFO,
            **self._names(ctx, quota),
            "Value": self._platform.settings.instance_quota,
            "Adjustable": True,
            "QuotaAppliedAtLevel": "ACCOUNT",
        }

    def _names(self, ctx: Context, quota: Quota) -> Document:
        arn = self._limits(ctx).arn(quota)
        return {"QuotaArn": arn, "QuotaCode": quota.code, "QuotaName": quota.name, "Unit": UNIT, "GlobalQuota": False}

    def _set(self, ctx: Context, quota: Quota, value: float) -> None:
        spec = {"QuotaCode": quota.code, "Value": value}
        record = self._records.get(QUOTA, ctx.account, ctx.region, quota.code)
        if record is not None:
            self._records.update(replace(record, spec=spec, modified=ctx.now))
            return
        arn = self._limits(ctx).arn(quota)
        self._records.create(Record(QUOTA, ctx.account, ctx.region, quota.code, arn, spec, ctx.now, ctx.now))

    def _history(self, ctx: Context, request: Members) -> Document:
        where = (("QuotaCode", str(request["QuotaCode"])),) if "QuotaCode" in request else ()
        statuses = (request["Status"],) if "Status" in request else ()
        query = Query(REQUEST, ctx.account, ctx.region, where=where, statuses=statuses, descending=True)
        page, more = _page(self._records.all(query), request)
        return {"RequestedQuotas": [self._requested(ctx, asked) for asked in page], **more}

    def _requested(self, ctx: Context, asked: Record) -> Document:
        return {
            **SERVICE_INFO,
            **self._names(ctx, self._find({"ServiceCode": SAGEMAKER, "QuotaCode": asked.spec["QuotaCode"]})),
            "Id": asked.name,
            "DesiredValue": asked.spec["DesiredValue"],
            "Status": asked.status,
            "Created": asked.created,
            "LastUpdated": asked.modified,
            "Requester": asked.spec["Requester"],
            "QuotaRequestedAtLevel": "ACCOUNT",
        }


def access(platform: Platform, ctx: Context, request: Members) -> Sequence[Check]:  # noqa: ARG001  # the shape of an access
    """The action, on the quota if it is changed.

    Source: "Actions, resources, and condition keys for Service Quotas", service authorization reference.
    """
    action = f"servicequotas:{ctx.operation}"
    service = request.get("ServiceCode")
    keys = {"servicequotas:service": service} if isinstance(service, str) else {}
    if ctx.operation not in OF_A_QUOTA or not service:
        return [Check(action, keys=keys)]
    prefix = f"arn:aws:servicequotas:{ctx.region}:{ctx.account}"
    return [Check(action, f"{prefix}:{service}/{request.get('QuotaCode', '*')}", keys)]


SERVICE = Service("service-quotas", ServiceQuotas, access=access)


def _request(ctx: Context, quota: Quota, desired: float) -> Record:
    name = uuid.uuid4().hex
    requester = json.dumps({"accountId": ctx.account, "callerArn": ctx.principal.arn})
    spec = {"QuotaCode": quota.code, "DesiredValue": desired, "Requester": requester}
    return Record(REQUEST, ctx.account, ctx.region, name, "", spec, ctx.now, ctx.now, status="APPROVED")


def _known_service(request: Members) -> None:
    if request["ServiceCode"] != SAGEMAKER:
        raise NoSuchResourceException("The request failed because the specified service does not exist.")


def _no_quota() -> NoSuchResourceException:
    return NoSuchResourceException("The request failed because the specified quota does not exist.")


def _page(items: Sequence[T], request: Members) -> tuple[Sequence[T], dict[str, str]]:
    """The items that a request asks for, and the token for those behind them."""
    try:
        start = int(base64.b64decode(request.get("NextToken", ""), validate=True) or 0)
    except (binascii.Error, ValueError) as error:
        raise InvalidPaginationTokenException("The token is not valid.") from error
    end = start + int(request.get("MaxResults", PAGE))
    more = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return items[start:end], more
