"""Tags on all that has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from clary.auth import entities
from clary.auth.managed import AWS_MANAGED
from clary.services.iam import pages
from clary.services.iam.directory import Directory, new_tags, tag_list
from clary.services.iam.errors import UnmodifiableEntity

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.records import Record

_BY_ARN = frozenset((entities.POLICY, entities.MFA_DEVICE, entities.OIDC_PROVIDER, entities.SAML_PROVIDER))


class _Operations(NamedTuple):
    tag: Callable[[Tags, Context, Document], None]
    untag: Callable[[Tags, Context, Document], None]
    listing: Callable[[Tags, Context, Document], Document]


def _operations(kind: str, member: str) -> _Operations:
    """The three operations of a kind whose requests name it by `member`."""

    def tag(tags: Tags, ctx: Context, request: Document) -> None:
        """Adds tags."""
        record = _find(tags.directory, ctx, kind, request[member])
        tags.directory.save(replace(record, tags=new_tags(record.tags, request["Tags"])))

    def untag(tags: Tags, ctx: Context, request: Document) -> None:
        """Removes tags."""
        record = _find(tags.directory, ctx, kind, request[member])
        gone = {key.lower() for key in request["TagKeys"]}
        kept = {key: value for key, value in record.tags.items() if key.lower() not in gone}
        tags.directory.save(replace(record, tags=kept))

    def listing(tags: Tags, ctx: Context, request: Document) -> Document:
        """The tags, in pages."""
        return pages.of_items("Tags", tag_list(_find(tags.directory, ctx, kind, request[member]).tags), request, dict)

    return _Operations(tag, untag, listing)


class Tags:
    """Pairs of a key and a value, for conditions in policies and for order."""

    def __init__(self, platform: Platform) -> None:
        self.directory = Directory(platform)

    tag_user, untag_user, list_user_tags = _operations(entities.USER, "UserName")
    tag_role, untag_role, list_role_tags = _operations(entities.ROLE, "RoleName")
    tag_policy, untag_policy, list_policy_tags = _operations(entities.POLICY, "PolicyArn")
    tag_mfa_device, untag_mfa_device, list_mfa_device_tags = _operations(entities.MFA_DEVICE, "SerialNumber")
    tag_saml_provider, untag_saml_provider, list_saml_provider_tags = _operations(
        entities.SAML_PROVIDER, "SAMLProviderArn"
    )
    tag_instance_profile, untag_instance_profile, list_instance_profile_tags = _operations(
        entities.INSTANCE_PROFILE, "InstanceProfileName"
    )
    tag_server_certificate, untag_server_certificate, list_server_certificate_tags = _operations(
        entities.SERVER_CERTIFICATE, "ServerCertificateName"
    )
    tag_open_id_connect_provider, untag_open_id_connect_provider, list_open_id_connect_provider_tags = _operations(
        entities.OIDC_PROVIDER, "OpenIDConnectProviderArn"
    )


def _find(directory: Directory, ctx: Context, kind: str, name: str) -> Record:
    if kind not in _BY_ARN:
        return directory.find(ctx, kind, name)
    if kind == entities.POLICY:
        if name in AWS_MANAGED:
            raise UnmodifiableEntity(f"Policy {name} is an AWS managed policy and cannot be changed.")
        return directory.find_policy(name)
    return directory.find_by_arn(kind, name)
