"""IAM: users, groups, roles and what they may do."""

from __future__ import annotations

from clary.services.iam.access import access
from clary.services.iam.access_keys import AccessKeys
from clary.services.iam.account import Account
from clary.services.iam.attachments import Attachments
from clary.services.iam.certificates import ServerCertificates, SigningCertificates
from clary.services.iam.context_keys import ContextKeys
from clary.services.iam.credential_report import CredentialReports
from clary.services.iam.groups import Groups
from clary.services.iam.inline import InlinePolicies
from clary.services.iam.instance_profiles import InstanceProfiles
from clary.services.iam.last_accessed import LastAccessed
from clary.services.iam.mfa_devices import VirtualMfaDevices
from clary.services.iam.oidc_providers import OpenIdConnectProviders
from clary.services.iam.passwords import Passwords
from clary.services.iam.policies import Policies
from clary.services.iam.roles import Roles
from clary.services.iam.saml_providers import SamlProviders
from clary.services.iam.service_linked_roles import ServiceLinkedRoles
from clary.services.iam.simulate import Simulations
from clary.services.iam.ssh_public_keys import SshPublicKeys
from clary.services.iam.tagging import Tags
from clary.services.iam.users import Users
from clary.services.service import Service

SERVICE = Service(
    "iam",
    Users,
    Groups,
    Roles,
    ServiceLinkedRoles,
    InstanceProfiles,
    Policies,
    Attachments,
    InlinePolicies,
    AccessKeys,
    Passwords,
    VirtualMfaDevices,
    OpenIdConnectProviders,
    SamlProviders,
    ServerCertificates,
    SigningCertificates,
    SshPublicKeys,
    CredentialReports,
    ContextKeys,
    Tags,
    Account,
    Simulations,
    LastAccessed,
    access=access,
)
