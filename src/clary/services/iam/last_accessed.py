"""Who last used which service, told from the audit log, and which policies let them."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.managed import AWS_MANAGED
from clary.auth.patterns import glob
from clary.auth.policy import Source, as_list
from clary.services.iam import pages
from clary.services.iam.directory import Directory
from clary.services.iam.errors import InvalidInput, NoSuchEntity
from clary.services.service import in_thread
from clary.store.records import AlreadyExists, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

_JOB = "access-report"
_SERVICE_LEVEL = "SERVICE_LEVEL"
_NAMES = {
    "cloudtrail": "AWS CloudTrail",
    "cloudwatch": "Amazon CloudWatch",
    "ec2": "Amazon EC2",
    "iam": "AWS Identity and Access Management",
    "logs": "Amazon CloudWatch Logs",
    "s3": "Amazon S3",
    "sagemaker": "Amazon SageMaker",
    "sts": "AWS Security Token Service",
}
"""The services that are served here, by the prefix of their actions."""


@dataclass(frozen=True, slots=True)
class _Use:
    """The last use of an action, or of a service, by somebody."""

    action: str
    time: int
    region: str
    entity: Record

    @property
    def moment(self) -> datetime:
        """When it was."""
        return datetime.fromtimestamp(self.time / 1000, UTC)


class LastAccessed:
    """Reports on the use of services, and on what grants it."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)
        self._audit = platform.audit

    @in_thread
    def generate_service_last_accessed_details(
        self, ctx: Context, request: api.GenerateServiceLastAccessedDetailsRequest
    ) -> api.GenerateServiceLastAccessedDetailsResponse:
        """Begins a report on a user, group, role or policy; it is done at once."""
        arn, granularity = request["Arn"], request.get("Granularity", _SERVICE_LEVEL)
        self._refuse_unknown(arn)
        job = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn} {granularity}"))
        spec = {"Arn": arn, "Granularity": granularity}
        former = self._directory.records.get(_JOB, ctx.account, "", job)
        if former is not None:
            self._directory.records.delete(former)
        with suppress(AlreadyExists):  # somebody asked for the same report at the same time
            self._directory.records.create(Record(_JOB, ctx.account, "", job, "", spec, ctx.now, ctx.now))
        return {"JobId": job}

    @in_thread
    def get_service_last_accessed_details(
        self, ctx: Context, request: api.GetServiceLastAccessedDetailsRequest
    ) -> Document:
        """When each service that the policies allow was last used."""
        job = self._job(ctx, request["JobId"])
        granularity = job.spec["Granularity"]
        uses = self._uses(self._entities(ctx, job.spec["Arn"]))
        allowed = _services(text for _, text in self._policies(job.spec["Arn"]))
        told = [_service(name, uses.get(name, []), granularity) for name in sorted({*allowed, *uses})]
        return {**_head(job), "JobType": granularity, **pages.of_items("ServicesLastAccessed", told, request, dict)}

    @in_thread
    def get_service_last_accessed_details_with_entities(
        self, ctx: Context, request: api.GetServiceLastAccessedDetailsWithEntitiesRequest
    ) -> Document:
        """When each user and role whom the report is about last used one service."""
        job = self._job(ctx, request["JobId"])
        found = list(self._entities(ctx, job.spec["Arn"]))
        uses = self._uses(found).get(request["ServiceNamespace"], [])
        last = {use.entity.arn: use.moment for use in sorted(uses, key=lambda use: use.time)}
        told = [_entity(record, last.get(record.arn)) for record in found]
        return {**_head(job), **pages.of_items("EntityDetailsList", told, request, dict)}

    @in_thread
    def list_policies_granting_service_access(
        self,
        ctx: Context,  # noqa: ARG002  # as all handlers
        request: api.ListPoliciesGrantingServiceAccessRequest,
    ) -> Document:
        """The policies of a user, group or role that allow something of each service."""
        self._refuse_unknown(request["Arn"])
        policies = list(self._policies(request["Arn"]))
        told = [
            {
                "ServiceNamespace": name,
                "Policies": [_policy(source) for source, text in policies if name in _services([text], [name])],
            }
            for name in request["ServiceNamespaces"]
        ]
        return pages.of_items("PoliciesGrantingServiceAccess", told, request, dict)

    def _refuse_unknown(self, arn: str) -> None:
        if arn in AWS_MANAGED:
            return
        record = self._directory.records.by_arn(arn)
        if record is None:
            raise NoSuchEntity(f"ARN {arn} cannot be found.")
        if record.kind not in (*entities.PRINCIPALS, entities.GROUP, entities.POLICY):
            raise InvalidInput(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")

    def _job(self, ctx: Context, name: str) -> Record:
        job = self._directory.records.get(_JOB, ctx.account, "", name)
        if job is None:
            raise NoSuchEntity(f"The job with id {name} cannot be found.")
        return job

    def _policies(self, arn: str) -> Iterator[tuple[Source, str]]:
        record = self._directory.records.by_arn(arn)
        if record is not None and record.kind != entities.POLICY:
            yield from entities.granted(self._directory.records, record)
        elif (text := entities.managed_document(self._directory.records, arn)) is not None:
            yield Source("user-managed", arn.rpartition("/")[2], arn), text

    def _entities(self, ctx: Context, arn: str) -> list[Record]:
        """The users and roles whom a report is about."""
        record = self._directory.records.by_arn(arn)
        if record is not None and record.kind in entities.PRINCIPALS:
            return [record]
        if record is not None and record.kind == entities.GROUP:
            return self._directory.members(ctx, record.name)
        everybody = self._directory.all(ctx, *entities.PRINCIPALS)
        return [each for each in everybody if arn in self._managed(each)]

    def _managed(self, entity: Record) -> set[str]:
        return {source.arn for source, _ in entities.granted(self._directory.records, entity)}

    def _uses(self, found: Iterable[Record]) -> dict[str, list[_Use]]:
        """The uses of each service by these users and roles."""
        uses: dict[str, list[_Use]] = defaultdict(list)
        for record in found:
            # An earlier one may have borne the name before it was made.
            since = int(record.created.timestamp() * 1000)
            for action, time, region in self._audit.uses(record.arn):
                if time >= since:
                    uses[action.partition(":")[0]].append(_Use(action, time, region, record))
        return uses


def _head(job: Record) -> Document:
    return {"JobStatus": "COMPLETED", "JobCreationDate": job.created, "JobCompletionDate": job.created}


def _service(name: str, uses: list[_Use], granularity: str) -> Document:
    told: Document = {
        "ServiceName": _NAMES.get(name, name),
        "ServiceNamespace": name,
        "TotalAuthenticatedEntities": len({use.entity.arn for use in uses}),
    }
    if uses:
        last = max(uses, key=lambda use: use.time)
        told["LastAuthenticated"] = last.moment
        told["LastAuthenticatedEntity"] = last.entity.arn
        told["LastAuthenticatedRegion"] = last.region
    if granularity != _SERVICE_LEVEL:
        latest = {use.action: use for use in sorted(uses, key=lambda use: use.time)}
        told["TrackedActionsLastAccessed"] = [_action(latest[action]) for action in sorted(latest)]
    return told


def _action(use: _Use) -> Document:
    return {
        "ActionName": use.action.partition(":")[2],
        "LastAccessedEntity": use.entity.arn,
        "LastAccessedTime": use.moment,
        "LastAccessedRegion": use.region,
    }


def _entity(record: Record, last: datetime | None) -> Document:
    info = {
        "Arn": record.arn,
        "Name": record.name,
        "Type": record.kind.upper(),
        "Id": entities.unique_id(record),
        "Path": record.spec.get("Path", "/"),
    }
    return {"EntityInfo": info, "LastAuthenticated": last} if last else {"EntityInfo": info}


def _policy(source: Source) -> Document:
    if source.arn:
        return {"PolicyName": source.name, "PolicyType": "MANAGED", "PolicyArn": source.arn}
    holder = source.holder.rpartition("/")[2]
    return {
        "PolicyName": source.name,
        "PolicyType": "INLINE",
        "EntityType": source.kind.upper(),
        "EntityName": holder,
    }


def _services(documents: Iterable[str], candidates: Iterable[str] = ()) -> set[str]:
    """The services of which some policy allows something; `*` stands for the candidates and those served here."""
    known = {*_NAMES, *candidates}
    return {name for text in documents for element in _allowing(text) for name in _prefixes(element, known)}


def _allowing(text: str) -> Iterator[Members]:
    for element in as_list(json.loads(text)["Statement"]):
        if isinstance(element, Mapping) and element.get("Effect") == "Allow":
            yield element


def _prefixes(element: Members, known: set[str]) -> Iterator[str]:
    if "NotAction" in element:
        spared = {action.lower() for action in as_list(element["NotAction"])}
        yield from (name for name in known if not spared & {"*", "*:*", f"{name}:*"})
        return
    for action in as_list(element.get("Action", [])):
        pattern = action.partition(":")[0].lower()
        if "*" not in pattern and "?" not in pattern:
            yield pattern
        else:
            yield from (name for name in known if glob(pattern, name, lambda _: None))
