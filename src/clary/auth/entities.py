"""How users, groups, roles and policies are stored: the kinds of records, and their members that grant something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clary.auth.managed import AWS_MANAGED
from clary.auth.policy import Source
from clary.store.records import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.store.records import Record, Records

USER = "user"
GROUP = "group"
ROLE = "role"
POLICY = "policy"
INSTANCE_PROFILE = "instance-profile"
MFA_DEVICE = "mfa"
LOGIN_PROFILE = "login-profile"
"""A user's password; its name is the user's unique id."""
PASSWORD_POLICY = "password-policy"  # noqa: S105  # a kind of record
OIDC_PROVIDER = "oidc-provider"
SAML_PROVIDER = "saml-provider"
SERVER_CERTIFICATE = "server-certificate"
SIGNING_CERTIFICATE = "signing-certificate"
SSH_PUBLIC_KEY = "ssh-public-key"
ACCESS_KEY = "access-key"
LAST_USE = "last-use"
SEAL = "session"

PRINCIPALS = (USER, ROLE)
GRANTING = (USER, GROUP, ROLE, POLICY)
"""A write to one of these kinds may change what somebody may do."""

RESOURCE_POLICIES = {ROLE: "AssumeRolePolicyDocument", "bucket": "Policy"}
"""The kinds of records that bear a policy which names principals, and the member of their spec that holds it."""

INLINE = "Policies"
"""Member of the spec of a user, group or role: its inline policies, name to document."""
ATTACHED = "AttachedPolicies"
"""Member of the spec of a user, group or role: the ARNs of its managed policies."""
GROUPS = "Groups"
"""Member of the spec of a user: the names of its groups."""
BOUNDARY: Final = "PermissionsBoundary"
"""Member of the spec of a user or role: the ARN of the policy that limits it."""
VERSIONS = "Versions"
"""Member of the spec of a managed policy: version id to {Document, CreateDate}."""
DEFAULT_VERSION = "DefaultVersionId"
"""Member of the spec of a managed policy."""
OWNER = "UserId"
"""Member of the spec of a login profile, MFA device, certificate or SSH key: the unique id of the user whose it is."""


def owned(records: Records, kind: str, user: Record) -> list[Record]:
    """The login profile, MFA devices, certificates or SSH keys of a user."""
    return records.all(Query(kind, user.account, where=((OWNER, user.observed["UserId"]),)))


def managed_document(records: Records, policy_arn: str) -> str | None:
    """The default version of a managed policy, of the account or of AWS."""
    if policy_arn in AWS_MANAGED:
        return AWS_MANAGED[policy_arn].document
    record = records.recall(POLICY, policy_arn)
    if record is None:
        return None
    return str(record.spec[VERSIONS][record.spec[DEFAULT_VERSION]]["Document"])


def unique_id(entity: Record) -> str:
    """The id of a user, group, role or policy that no later one of the same name bears."""
    return str(entity.observed[_IDS[entity.kind]])


def granted(records: Records, entity: Record) -> Iterator[tuple[Source, str]]:
    """Source and document of every policy that grants something to a user (also by its groups), group or role."""
    for name, document in entity.spec.get(INLINE, {}).items():
        yield Source(entity.kind, name, holder=entity.arn), document
    for policy_arn in entity.spec.get(ATTACHED, ()):
        attached = managed_document(records, policy_arn)
        if attached is not None:
            yield _managed(policy_arn, entity), attached
    for name in entity.spec.get(GROUPS, ()):
        group = records.get(GROUP, entity.account, "", name)
        if group is not None:
            yield from granted(records, group)


def boundary(records: Records, entity: Record) -> tuple[Source, str] | None:
    """Source and document of the policy that limits a user or role."""
    policy_arn = str(entity.spec.get(BOUNDARY) or "")
    if not policy_arn:
        return None
    return _managed(policy_arn, entity), managed_document(records, policy_arn) or NOTHING


_IDS = {USER: "UserId", GROUP: "GroupId", ROLE: "RoleId", POLICY: "PolicyId"}


def _managed(policy_arn: str, holder: Record) -> Source:
    kind = "aws-managed" if policy_arn in AWS_MANAGED else "user-managed"
    return Source(kind, policy_arn.rpartition("/")[2], policy_arn, holder.arn)


NOTHING: Final = '{"Version": "2012-10-17", "Statement": []}'
"""A boundary, or a session policy, whose policy is gone allows nothing."""
