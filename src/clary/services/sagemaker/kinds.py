"""The kinds of SageMaker records, and the operations that are the same for all of them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from clary import arn
from clary.errors import ServiceError, ValidationException
from clary.store.records import AlreadyExists, Order, Query, Record

from .errors import ResourceInUse, ResourceNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Handler, Members

    Filter = Callable[[Document], tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record: `name` is also the resource part of its ARN, `noun` begins its members (`TrainingJobName`)."""

    name: str
    noun: str
    missing: tuple[type[ServiceError], str] = (ValidationException, "Requested resource not found.")
    taken: tuple[type[ServiceError], str] = (ResourceInUse, "{noun} with name {name} already exists ({arn})")
    status: str = ""
    """The member that holds the status; empty for the noun with `Status`."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Output members that repeat a create member under another name."""

    @property
    def name_member(self) -> str:
        """The member that names the record."""
        return f"{self.noun}Name"

    @property
    def arn_member(self) -> str:
        """The member that holds the ARN."""
        return f"{self.noun}Arn"

    @property
    def status_member(self) -> str:
        """The member that holds the status."""
        return self.status or f"{self.noun}Status"

    def arn(self, ctx: Context, name: str) -> str:
        """The ARN of the record of this name."""
        return arn.build("sagemaker", ctx.region, ctx.account, f"{self.name}/{name}")

    def no(self, ctx: Context, name: str) -> ServiceError:
        """The error for a name that is not there."""
        error, text = self.missing
        return error(text.format(noun=self.noun, name=name, arn=self.arn(ctx, name)))


def _exists(what: str) -> tuple[type[ServiceError], str]:
    return ValidationException, f'Cannot create already existing {what} "{{arn}}".'


def _could_not_find(what: str) -> tuple[type[ServiceError], str]:
    return ValidationException, f'Could not find {what} "{{arn}}".'


_JOB_TAKEN = (
    ResourceInUse,
    "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})",
)

TRAINING_JOB = Kind(
    "training-job",
    "TrainingJob",
    taken=(
        ResourceInUse,
        "Training job names must be unique within an AWS account and region, and a training job with this name already "
        "exists ({arn})",
    ),
)
PROCESSING_JOB = Kind(
    "processing-job",
    "ProcessingJob",
    missing=(ValidationException, "Could not find requested job with name: {name}"),
    taken=_JOB_TAKEN,
)
TRANSFORM_JOB = Kind(
    "transform-job",
    "TransformJob",
    missing=(ValidationException, "Could not find requested job with name: {name}"),
    taken=_JOB_TAKEN,
)
TUNING_JOB = Kind(
    "hyper-parameter-tuning-job",
    "HyperParameterTuningJob",
    missing=(ResourceNotFound, "Amazon SageMaker can't find a tuning job with the name: {name}."),
    taken=(
        ResourceInUse,
        "Tuning job names must be unique within an AWS account and region, and a tuning job with this name already "
        "exists ({arn})",
    ),
)
MODEL = Kind("model", "Model", missing=_could_not_find("model"), taken=_exists("model"))
ENDPOINT_CONFIG = Kind(
    "endpoint-config",
    "EndpointConfig",
    missing=_could_not_find("endpoint configuration"),
    taken=_exists("endpoint configuration"),
)
ENDPOINT = Kind("endpoint", "Endpoint", missing=_could_not_find("endpoint"), taken=_exists("endpoint"))
DATA_QUALITY_JOB_DEFINITION = Kind(
    "data-quality-job-definition",
    "JobDefinition",
    missing=(ResourceNotFound, "Job Definition {arn} not found"),
    taken=(ResourceInUse, "Job Definition with name {name} already exists."),
)
MONITORING_SCHEDULE = Kind(
    "monitoring-schedule",
    "MonitoringSchedule",
    missing=(ResourceNotFound, "Monitoring Schedule {arn} not found"),
    taken=(ResourceInUse, "Monitoring Schedule with name {name} already exists."),
)
MONITORING_EXECUTION = Kind("monitoring-execution", "MonitoringExecution")
NOTEBOOK_INSTANCE = Kind(
    "notebook-instance",
    "NotebookInstance",
    missing=(ValidationException, "RecordNotFound"),
    taken=(ValidationException, "Cannot create a duplicate Notebook Instance ({arn})"),
    aliases={"NotebookInstanceLifecycleConfigName": "LifecycleConfigName", "SecurityGroups": "SecurityGroupIds"},
)
LIFECYCLE_CONFIG = Kind(
    "notebook-instance-lifecycle-config",
    "NotebookInstanceLifecycleConfig",
    missing=(
        ValidationException,
        "Unable to describe Notebook Instance Lifecycle Config '{arn}'. (Details: no record)",
    ),
    taken=(
        ValidationException,
        "Unable to create Notebook Instance Lifecycle Config {arn}. (Details: it already exists)",
    ),
)

ALL = (
    TRAINING_JOB,
    PROCESSING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    MODEL,
    ENDPOINT_CONFIG,
    ENDPOINT,
    DATA_QUALITY_JOB_DEFINITION,
    MONITORING_SCHEDULE,
    MONITORING_EXECUTION,
    NOTEBOOK_INSTANCE,
    LIFECYCLE_CONFIG,
)


class Family:
    """A group of operations that share the platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform


def create(platform: Platform, ctx: Context, kind: Kind, request: Members, **initial: Any) -> Record:
    """Stores a new record with the request as its spec; `initial` sets status, observed and due.

    Raises:
        ServiceError: the name is taken, in the words of the kind.
    """
    name = request[kind.name_member]
    record = Record(
        kind=kind.name,
        account=ctx.account,
        region=ctx.region,
        name=name,
        arn=kind.arn(ctx, name),
        spec={member: value for member, value in request.items() if member != "Tags"},
        tags={tag["Key"]: tag["Value"] for tag in request.get("Tags", ())},
        created=ctx.now,
        modified=ctx.now,
        **initial,
    )
    try:
        return platform.records.create(record)
    except AlreadyExists:
        error, text = kind.taken
        raise error(text.format(noun=kind.noun, name=name, arn=record.arn)) from None


def find(platform: Platform, ctx: Context, kind: Kind, name: str) -> Record:
    """The record of this name.

    Raises:
        ServiceError: there is none, in the words of the kind.
    """
    record = platform.records.get(kind.name, ctx.account, ctx.region, name)
    if record is None:
        raise kind.no(ctx, name)
    return record


def fill(kind: Kind, record: Record, members: list[str]) -> Document:
    """The members of an output shape, taken from what was asked and what was seen."""
    known: Document = {
        kind.name_member: record.name,
        kind.arn_member: record.arn,
        kind.status_member: record.status,
        "CreationTime": record.created,
        "LastModifiedTime": record.modified,
    }
    answer: Document = {}
    for member in members:
        value = known.get(member)
        if value is None:
            value = record.observed.get(member)
        if value is None:
            value = record.spec.get(kind.aliases.get(member, member))
        if value not in (None, ""):
            answer[member] = value
    return answer


def describe(kind: Kind, extend: Callable[[Context, Record], Document] | None = None) -> Handler:
    """The Describe operation of a kind; `extend` adds members that no record holds."""

    def handler(self: Family, ctx: Context, request: Document) -> Document:
        record = find(self._platform, ctx, kind, request[kind.name_member])
        shape = self._platform.models.operation(ctx.service, ctx.operation).output_shape
        answer = fill(kind, record, list(shape.members))
        return answer if extend is None else {**answer, **extend(ctx, record)}

    handler.__doc__ = f"What was asked of one {kind.noun} and what became of it."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def listing(kind: Kind, where: Filter = lambda _: (), seen: Filter = lambda _: ()) -> Handler:
    """The List operation of a kind: filters, order and pages as the input shape names them.

    `where` and `seen` tell which members of what was asked and seen a request wants to have which values.
    """

    def handler(self: Family, ctx: Context, request: Document) -> Document:
        model = self._platform.models.operation(ctx.service, ctx.operation)
        query = replace(_query(ctx, kind, request, model.input_shape), where=where(request), seen=seen(request))
        records = self._platform.records.list(query)
        result, item = _result(model.output_shape)
        members = list(item.members)
        page = records[: query.limit - 1]
        answer: Document = {result: [fill(kind, record, members) for record in page]}
        if len(records) == query.limit:
            answer["NextToken"] = encode_token(page[-1].cursor(query.order_by))
        return answer

    handler.__doc__ = f"The records of kind {kind.noun}, filtered, ordered and in pages."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def delete(kind: Kind) -> Handler:
    """The Delete operation of a kind that nothing else depends on."""

    def handler(self: Family, ctx: Context, request: Document) -> None:
        self._platform.records.delete(find(self._platform, ctx, kind, request[kind.name_member]))

    handler.__doc__ = f"Removes one {kind.noun}."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def encode_token(value: object) -> str:
    """A page token."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode()


def decode_token(token: str | None) -> Any:
    """What a page token holds, or None without one.

    Raises:
        ValidationException: the token is not one of ours.
    """
    if not token:
        return None
    try:
        return orjson.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        raise ValidationException(f"Invalid NextToken: {token}") from None


_ORDERS: dict[str, Order] = {
    "Name": "name",
    "CreationTime": "created",
    "LastModifiedTime": "modified",
    "Status": "status",
}


def _query(ctx: Context, kind: Kind, request: Document, shape: Any) -> Query:
    order = shape.members.get("SortOrder")
    ascending = request.get("SortOrder") or (
        "Ascending" if order is not None and _ASCENDING in order.documentation else ""
    )
    cursor = decode_token(request.get("NextToken"))
    return Query(
        kind=kind.name,
        account=ctx.account,
        region=ctx.region,
        name_contains=request.get("NameContains", ""),
        statuses=(request["StatusEquals"],) if "StatusEquals" in request else (),
        created_after=request.get("CreationTimeAfter"),
        created_before=request.get("CreationTimeBefore"),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        order_by=_ORDERS.get(request.get("SortBy", ""), "created"),
        descending=ascending != "Ascending",
        after=(cursor[0], cursor[1]) if cursor else None,
        limit=request.get("MaxResults", 10) + 1,
    )


_ASCENDING = "default is <code>Ascending</code>"


def _result(shape: Any) -> tuple[str, Any]:
    for name, member in shape.members.items():
        if member.type_name == "list":
            return name, member.member
    raise TypeError(f"{shape.name} has no list member")
