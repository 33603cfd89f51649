"""The account as a whole: alias, summary and all that is granted in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.managed import AWS_MANAGED
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory, tag_list
from clary.services.iam.documents import encoded
from clary.services.iam.errors import EntityAlreadyExists, NoSuchEntity
from clary.services.service import in_thread, recorded
from clary.store.records import Query, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_ALIAS = "account-alias"
_QUOTAS = {
    "UsersQuota": 5000,
    "GroupsQuota": 300,
    "RolesQuota": 1000,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": 1500,
    "PolicySizeQuota": 6144,
    "VersionsPerPolicyQuota": 5,
    "AttachedPoliciesPerUserQuota": 10,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AccessKeysPerUserQuota": 2,
    "GroupsPerUserQuota": 10,
    "AssumeRolePolicySizeQuota": 2048,
    "UserPolicySizeQuota": 2048,
    "GroupPolicySizeQuota": 5120,
    "RolePolicySizeQuota": 10240,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "PolicyVersionsInUseQuota": 10000,
}
_FILTERS = {
    "User": entities.USER,
    "Group": entities.GROUP,
    "Role": entities.ROLE,
    "LocalManagedPolicy": entities.POLICY,
}


class Account:
    """What concerns the account rather than one of its entities."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @recorded
    def create_account_alias(self, ctx: Context, request: api.CreateAccountAliasRequest) -> None:
        """Gives the account a name; a former one goes."""
        alias = request["AccountAlias"]
        if self._directory.records.get(_ALIAS, ctx.account, "", alias):
            raise EntityAlreadyExists(f"The account alias {alias} already exists.")
        for former in self._aliases(ctx):
            self._directory.records.delete(former)
        self._directory.records.create(Record(_ALIAS, ctx.account, "", alias, "", {}, ctx.now, ctx.now))

    @recorded
    def delete_account_alias(self, ctx: Context, request: api.DeleteAccountAliasRequest) -> None:
        """Takes the name of the account away."""
        alias = self._directory.records.get(_ALIAS, ctx.account, "", request["AccountAlias"])
        if alias is None:
            raise NoSuchEntity(f"The account alias with name {request['AccountAlias']} cannot be found.")
        self._directory.records.delete(alias)

    @recorded
    def list_account_aliases(self, ctx: Context, request: api.ListAccountAliasesRequest) -> Document:
        """The name of the account, if it has one."""
        return pages.of_items("AccountAliases", self._aliases(ctx), request, lambda alias: alias.name)

    @in_thread
    def get_account_summary(self, ctx: Context, request: Document) -> api.GetAccountSummaryResponse:  # noqa: ARG002  # as all handlers
        """How much there is of everything, and how much there may be."""
        policies = list(self._directory.all(ctx, entities.POLICY))
        devices = list(self._directory.all(ctx, entities.MFA_DEVICE))
        counts = {
            "Users": self._count(ctx, entities.USER),
            "Groups": self._count(ctx, entities.GROUP),
            "Roles": self._count(ctx, entities.ROLE),
            "InstanceProfiles": self._count(ctx, entities.INSTANCE_PROFILE),
            "Policies": len(policies),
            "PolicyVersionsInUse": sum(len(policy.spec[entities.VERSIONS]) for policy in policies),
            "ServerCertificates": self._count(ctx, entities.SERVER_CERTIFICATE),
            "Providers": self._count(ctx, entities.OIDC_PROVIDER) + self._count(ctx, entities.SAML_PROVIDER),
            "MFADevices": len(devices),
            "MFADevicesInUse": sum(entities.OWNER in device.spec for device in devices),
            "AccountMFAEnabled": 0,
            "AccountPasswordPresent": 0,
            "AccountAccessKeysPresent": int(bool(self._root_keys(ctx))),
            "AccountSigningCertificatesPresent": 0,
            "GlobalEndpointTokenVersion": 1,
        }
        return {"SummaryMap": {**counts, **_QUOTAS}}

    @in_thread
    def get_account_authorization_details(
        self, ctx: Context, request: api.GetAccountAuthorizationDetailsRequest
    ) -> Document:
        """Every user, group, role and policy with all that it grants."""
        wanted: Sequence[str] = request.get("Filter") or [*_FILTERS, "AWSManagedPolicy"]
        found: list[Record] = list(self._directory.all(ctx, *(_FILTERS[name] for name in wanted if name in _FILTERS)))
        page = pages.of_items("Items", found, request, lambda record: record)
        answer: Document = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
        for record in page.pop("Items"):
            member, detail = self._detail(ctx, record)
            answer[member].append(detail)
        if "AWSManagedPolicy" in wanted and not request.get("Marker"):
            answer["Policies"] += self._attached_to_somebody(ctx)
        return {**answer, **page}

    def _detail(self, ctx: Context, record: Record) -> tuple[str, Document]:
        match record.kind:
            case entities.USER:
                groups = {"GroupList": record.spec.get(entities.GROUPS, [])}
                return "UserDetailList", {**shapes.user_detail(record), **_grants(record, "UserPolicyList"), **groups}
            case entities.GROUP:
                return "GroupDetailList", {**shapes.group(record), **_grants(record, "GroupPolicyList")}
            case entities.ROLE:
                profiles = [
                    shapes.instance_profile(each, [record]) for each in self._directory.profiles(ctx, record.name)
                ]
                detail = {**shapes.role_detail(record), **_grants(record, "RolePolicyList")}
                used = {"RoleLastUsed": self._directory.role_last_used(record)}
                return "RoleDetailList", {**detail, "InstanceProfileList": profiles, **used}
            case _:
                return "Policies", _policy(record)

    def _attached_to_somebody(self, ctx: Context) -> list[Document]:
        holders = self._directory.all(ctx, entities.USER, entities.GROUP, entities.ROLE)
        used = {arn for holder in holders for arn in holder.spec.get(entities.ATTACHED, ())}
        return [
            {
                "PolicyName": policy.name,
                "PolicyId": policy.policy_id,
                "Arn": policy.arn,
                "Path": policy.path,
                "DefaultVersionId": "v1",
                "IsAttachable": True,
                "PolicyVersionList": [
                    {"Document": encoded(policy.document), "VersionId": "v1", "IsDefaultVersion": True}
                ],
            }
            for policy in AWS_MANAGED.values()
            if policy.arn in used
        ]

    def _aliases(self, ctx: Context) -> list[Record]:
        return self._directory.records.list(Query(_ALIAS, ctx.account))

    def _root_keys(self, ctx: Context) -> list[Record]:
        return self._directory.records.list(Query(entities.ACCESS_KEY, ctx.account, where=(("UserName", ""),), limit=1))

    def _count(self, ctx: Context, kind: str) -> int:
        return len(list(self._directory.all(ctx, kind)))


def _grants(record: Record, inline: str) -> Document:
    policies = record.spec.get(entities.INLINE, {})
    return {
        inline: [{"PolicyName": name, "PolicyDocument": encoded(text)} for name, text in policies.items()],
        "AttachedManagedPolicies": [shapes.attached(arn) for arn in record.spec.get(entities.ATTACHED, ())],
        "Tags": tag_list(record.tags),
    }


def _policy(record: Record) -> Document:
    default = record.spec[entities.DEFAULT_VERSION]
    versions = [
        {
            "Document": encoded(version["Document"]),
            "VersionId": name,
            "IsDefaultVersion": name == default,
            "CreateDate": version["CreateDate"],
        }
        for name, version in record.spec[entities.VERSIONS].items()
    ]
    return {
        "PolicyName": record.name,
        "PolicyId": record.observed["PolicyId"],
        "Arn": record.arn,
        "Path": record.spec["Path"],
        "DefaultVersionId": default,
        "IsAttachable": True,
        "CreateDate": record.created,
        "UpdateDate": record.modified,
        "PolicyVersionList": versions,
    }
