"""Managed policies and their versions, those of AWS among them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.auth import entities, managed
from clary.auth.identifiers import unique_id
from clary.auth.managed import AWS_MANAGED
from clary.services.iam import pages
from clary.services.iam.directory import Directory, tag_list
from clary.services.iam.documents import MANAGED_LIMIT, encoded, refuse_long, refuse_malformed
from clary.services.iam.errors import DeleteConflict, LimitExceeded, NoSuchEntity, UnmodifiableEntity
from clary.services.service import in_thread

if TYPE_CHECKING:
    from datetime import datetime

    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_MOST_VERSIONS = 5


@dataclass(frozen=True, slots=True)
class _Usage:
    """How often each policy is attached, and limits somebody."""

    attached: Counter[str]
    limiting: Counter[str]


class Policies:
    """Policies that can hang on many users, groups and roles."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_policy(self, ctx: Context, request: api.CreatePolicyRequest) -> Document:
        """A new managed policy with its first version."""
        _refuse_document(request["PolicyDocument"])
        spec = {
            **request,
            entities.VERSIONS: {"v1": _version(request, ctx.now)},
            entities.DEFAULT_VERSION: "v1",
            "LatestVersion": 1,
        }
        del spec["PolicyDocument"]
        observed = {"PolicyId": unique_id("ANPA")}
        policy = self._directory.create(ctx, entities.POLICY, request["PolicyName"], spec, observed)
        return {"Policy": _shape(policy, _Usage(Counter(), Counter()))}

    @in_thread
    def get_policy(self, ctx: Context, request: api.GetPolicyRequest) -> Document:
        """A managed policy."""
        usage = self._usage(ctx)
        if request["PolicyArn"] in AWS_MANAGED:
            return {"Policy": _aws_detail(AWS_MANAGED[request["PolicyArn"]], usage)}
        policy = self._directory.find_policy(request["PolicyArn"])
        description = policy.spec.get("Description")
        detail = {"Description": description} if description else {}
        return {"Policy": {**_shape(policy, usage), **detail, "Tags": tag_list(policy.tags)}}

    @in_thread
    def list_policies(self, ctx: Context, request: api.ListPoliciesRequest) -> Document:
        """The managed policies of the account and of AWS, by scope, path and use."""
        usage = self._usage(ctx)
        scope = request.get("Scope", "All")
        shapes = [_shape(policy, usage) for policy in self._directory.all(ctx, entities.POLICY) if scope != "AWS"]
        shapes += [_aws_shape(policy, usage) for policy in AWS_MANAGED.values() if scope != "Local"]
        counted = "PermissionsBoundaryUsageCount" if _limits(request) else "AttachmentCount"
        used = request.get("OnlyAttached", False) or "PolicyUsageFilter" in request
        prefix = request.get("PathPrefix", "/")
        found = [shape for shape in shapes if shape["Path"].startswith(prefix) and (shape[counted] or not used)]
        return pages.of_items("Policies", found, request, dict)

    @in_thread
    def delete_policy(self, ctx: Context, request: api.DeletePolicyRequest) -> None:
        """Removes a managed policy that nobody has and that has one version only."""
        policy = self._find_own(request)
        usage = self._usage(ctx)
        if usage.attached[policy.arn] or usage.limiting[policy.arn]:
            raise DeleteConflict("Cannot delete a policy attached to entities.")
        if len(policy.spec[entities.VERSIONS]) > 1:
            raise DeleteConflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                "versions. The default version is deleted with the policy."
            )
        self._directory.records.delete(policy)

    def create_policy_version(self, ctx: Context, request: api.CreatePolicyVersionRequest) -> Document:
        """Another version of a managed policy, the default one if asked for."""
        policy = self._find_own(request)
        _refuse_document(request["PolicyDocument"])
        versions = policy.spec[entities.VERSIONS]
        if len(versions) >= _MOST_VERSIONS:
            raise LimitExceeded(
                f"A managed policy can have up to {_MOST_VERSIONS} versions. Before you create a new version, you must "
                "delete an existing version."
            )
        number = policy.spec["LatestVersion"] + 1
        versions = {**versions, f"v{number}": _version(request, ctx.now)}
        changes: Document = {entities.VERSIONS: versions, "LatestVersion": number}
        if request.get("SetAsDefault"):
            changes[entities.DEFAULT_VERSION] = f"v{number}"
        policy = self._directory.change(ctx, policy, **changes)
        return {"PolicyVersion": _version_shape(policy, f"v{number}")}

    def get_policy_version(self, ctx: Context, request: api.GetPolicyVersionRequest) -> Document:  # noqa: ARG002  # as all handlers
        """A version with its document."""
        policy_arn, version = request["PolicyArn"], request["VersionId"]
        if policy_arn in AWS_MANAGED and version == "v1":
            document = encoded(AWS_MANAGED[policy_arn].document)
            return {"PolicyVersion": {"Document": document, **_AWS_VERSION}}
        policy = self._directory.find_policy(policy_arn)
        document = encoded(_existing(policy, version)["Document"])
        return {"PolicyVersion": {"Document": document, **_version_shape(policy, version)}}

    def list_policy_versions(self, ctx: Context, request: api.ListPolicyVersionsRequest) -> Document:  # noqa: ARG002  # as all handlers
        """The versions of a managed policy, the newest first."""
        if request["PolicyArn"] in AWS_MANAGED:
            return pages.of_items("Versions", [_AWS_VERSION], request, dict)
        policy = self._directory.find_policy(request["PolicyArn"])
        newest_first = sorted(policy.spec[entities.VERSIONS], key=lambda version: -int(version[1:]))
        return pages.of_items("Versions", newest_first, request, lambda version: _version_shape(policy, version))

    def delete_policy_version(self, ctx: Context, request: api.DeletePolicyVersionRequest) -> None:
        """Removes a version that is not the default one."""
        policy = self._find_own(request)
        version = request["VersionId"]
        _existing(policy, version)
        if version == policy.spec[entities.DEFAULT_VERSION]:
            raise DeleteConflict("Cannot delete the default version of a policy.")
        versions = {name: each for name, each in policy.spec[entities.VERSIONS].items() if name != version}
        self._directory.change(ctx, policy, Versions=versions)

    def set_default_policy_version(self, ctx: Context, request: api.SetDefaultPolicyVersionRequest) -> None:
        """Puts a version into force."""
        policy = self._find_own(request)
        _existing(policy, request["VersionId"])
        self._directory.change(ctx, policy, DefaultVersionId=request["VersionId"])

    def _find_own(self, request: Members) -> Record:
        if request["PolicyArn"] in AWS_MANAGED:
            raise UnmodifiableEntity(f"Policy {request['PolicyArn']} is an AWS managed policy and cannot be changed.")
        return self._directory.find_policy(request["PolicyArn"])

    def _usage(self, ctx: Context) -> _Usage:
        holders = list(self._directory.all(ctx, entities.USER, entities.GROUP, entities.ROLE))
        attached = Counter(arn for holder in holders for arn in holder.spec.get(entities.ATTACHED, ()))
        limiting = Counter(str(holder.spec.get(entities.BOUNDARY, "")) for holder in holders)
        return _Usage(attached, limiting)


def _limits(request: Members) -> bool:
    return bool(request.get("PolicyUsageFilter") == "PermissionsBoundary")


def _refuse_document(document: str) -> None:
    refuse_malformed(document, current=True)
    refuse_long(document, MANAGED_LIMIT, "PolicySize")


def _version(request: Members, now: datetime) -> Document:
    return {"Document": request["PolicyDocument"], "CreateDate": now.isoformat()}


def _existing(policy: Record, version: str) -> Document:
    found: Document | None = policy.spec[entities.VERSIONS].get(version)
    if found is None:
        raise NoSuchEntity(f"Policy {policy.arn} version {version} does not exist or is not attachable.")
    return found


def _version_shape(policy: Record, version: str) -> Document:
    return {
        "VersionId": version,
        "IsDefaultVersion": version == policy.spec[entities.DEFAULT_VERSION],
        "CreateDate": policy.spec[entities.VERSIONS][version]["CreateDate"],
    }


def _shape(policy: Record, usage: _Usage) -> Document:
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.observed["PolicyId"],
        "Arn": policy.arn,
        "Path": policy.spec["Path"],
        "DefaultVersionId": policy.spec[entities.DEFAULT_VERSION],
        "AttachmentCount": usage.attached[policy.arn],
        "PermissionsBoundaryUsageCount": usage.limiting[policy.arn],
        "IsAttachable": True,
        "CreateDate": policy.created,
        "UpdateDate": policy.modified,
    }


_AWS_VERSION = {"VersionId": "v1", "IsDefaultVersion": True, "CreateDate": managed.CREATED}


def _aws_shape(policy: managed.ManagedPolicy, usage: _Usage) -> Document:
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.policy_id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": "v1",
        "AttachmentCount": usage.attached[policy.arn],
        "PermissionsBoundaryUsageCount": usage.limiting[policy.arn],
        "IsAttachable": True,
        "CreateDate": managed.CREATED,
        "UpdateDate": managed.CREATED,
    }


def _aws_detail(policy: managed.ManagedPolicy, usage: _Usage) -> Document:
    return {**_aws_shape(policy, usage), "Description": policy.description, "Tags": []}
