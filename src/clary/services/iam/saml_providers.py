"""SAML providers: recorded, as sessions for their assertions are not offered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.identifiers import unique_id
from clary.errors import NotSupported
from clary.services.iam.directory import Directory, tag_list
from clary.services.iam.errors import InvalidInput
from clary.services.service import recorded

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_VALID = timedelta(days=36500)


class SamlProviders:
    """Identity providers that speak SAML 2.0."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @recorded
    def create_saml_provider(self, ctx: Context, request: api.CreateSAMLProviderRequest) -> Document:
        """A new provider."""
        _refuse(request)
        spec = {name: value for name, value in request.items() if name != "Name"}
        observed = {"SAMLProviderUUID": unique_id("ASPA")}
        provider = self._directory.create(ctx, entities.SAML_PROVIDER, request["Name"], spec, observed)
        answer: Document = {"SAMLProviderArn": provider.arn}
        return {**answer, "Tags": tag_list(provider.tags)} if provider.tags else answer

    @recorded
    def get_saml_provider(self, ctx: Context, request: api.GetSAMLProviderRequest) -> Document:  # noqa: ARG002  # as all handlers
        """A provider and its metadata."""
        provider = self._find(request)
        return {
            "SAMLProviderUUID": provider.observed["SAMLProviderUUID"],
            "SAMLMetadataDocument": provider.spec["SAMLMetadataDocument"],
            "CreateDate": provider.created,
            "ValidUntil": provider.created + _VALID,
            "Tags": tag_list(provider.tags),
        }

    @recorded
    def update_saml_provider(self, ctx: Context, request: api.UpdateSAMLProviderRequest) -> Document:
        """Records other metadata."""
        _refuse(request)
        provider = self._find(request)
        if "SAMLMetadataDocument" in request:
            self._directory.change(ctx, provider, SAMLMetadataDocument=request["SAMLMetadataDocument"])
        return {"SAMLProviderArn": provider.arn}

    @recorded
    def list_saml_providers(self, ctx: Context, request: Document) -> Document:  # noqa: ARG002  # as all handlers
        """The providers of the account."""
        found = self._directory.all(ctx, entities.SAML_PROVIDER)
        shapes = [
            {"Arn": provider.arn, "CreateDate": provider.created, "ValidUntil": provider.created + _VALID}
            for provider in found
        ]
        return {"SAMLProviderList": shapes}

    @recorded
    def delete_saml_provider(self, ctx: Context, request: api.DeleteSAMLProviderRequest) -> None:  # noqa: ARG002  # as all handlers
        """Removes a provider."""
        self._directory.records.delete(self._find(request))

    def _find(self, request: Members) -> Record:
        return self._directory.find_by_arn(entities.SAML_PROVIDER, request["SAMLProviderArn"])


def _refuse(request: Members) -> None:
    for member in ("AssertionEncryptionMode", "AddPrivateKey", "RemovePrivateKey"):
        if request.get(member):
            raise NotSupported(f"Clary does not support {member} of SAML providers yet.")
    document = request.get("SAMLMetadataDocument")
    if document is not None and "EntityDescriptor" not in document:
        raise InvalidInput("Could not parse metadata")
