"""OpenID Connect providers: whose tokens may open sessions of roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.issuers import is_trustworthy
from clary.services.iam.directory import Directory, tag_list
from clary.services.iam.errors import InvalidInput, LimitExceeded, ValidationError

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_MOST_CLIENTS = 100
_MOST_THUMBPRINTS = 5


class OpenIdConnectProviders:
    """Identity providers that speak OpenID Connect."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    def create_open_id_connect_provider(
        self, ctx: Context, request: api.CreateOpenIDConnectProviderRequest
    ) -> Document:
        """A new provider; it is named by its address."""
        url = request["Url"]
        _refuse_address(url)
        clients, thumbprints = request.get("ClientIDList", []), request.get("ThumbprintList", [])
        _refuse_many_clients(clients)
        _refuse_many_thumbprints(thumbprints)
        spec: Document = {"Url": url, "ClientIDList": clients, "ThumbprintList": thumbprints, "Path": "/"}
        if "Tags" in request:
            spec["Tags"] = request["Tags"]
        provider = self._directory.create(ctx, entities.OIDC_PROVIDER, url.partition("://")[2], spec, {})
        answer: Document = {"OpenIDConnectProviderArn": provider.arn}
        return {**answer, "Tags": tag_list(provider.tags)} if provider.tags else answer

    def get_open_id_connect_provider(self, ctx: Context, request: api.GetOpenIDConnectProviderRequest) -> Document:  # noqa: ARG002  # as all handlers
        """A provider: its address without the scheme, clients and thumbprints."""
        provider = self._find(request)
        return {
            "Url": provider.name,
            "ClientIDList": provider.spec["ClientIDList"],
            "ThumbprintList": provider.spec["ThumbprintList"],
            "CreateDate": provider.created,
            "Tags": tag_list(provider.tags),
        }

    def list_open_id_connect_providers(self, ctx: Context, request: Document) -> Document:  # noqa: ARG002  # as all handlers
        """The providers of the account."""
        found = self._directory.all(ctx, entities.OIDC_PROVIDER)
        return {"OpenIDConnectProviderList": [{"Arn": provider.arn} for provider in found]}

    def delete_open_id_connect_provider(self, ctx: Context, request: api.DeleteOpenIDConnectProviderRequest) -> None:  # noqa: ARG002  # as all handlers
        """Removes a provider; its tokens open no session any more."""
        self._directory.records.delete(self._find(request))

    def add_client_id_to_open_id_connect_provider(
        self, ctx: Context, request: api.AddClientIDToOpenIDConnectProviderRequest
    ) -> None:
        """Takes tokens that were made for one more client; one that is there already is not an error."""
        provider = self._find(request)
        clients = provider.spec["ClientIDList"]
        if request["ClientID"] not in clients:
            _refuse_many_clients([*clients, request["ClientID"]])
            self._directory.change(ctx, provider, ClientIDList=[*clients, request["ClientID"]])

    def remove_client_id_from_open_id_connect_provider(
        self, ctx: Context, request: api.RemoveClientIDFromOpenIDConnectProviderRequest
    ) -> None:
        """Takes no tokens any more that were made for a client; one that is not there is not an error."""
        provider = self._find(request)
        clients = [client for client in provider.spec["ClientIDList"] if client != request["ClientID"]]
        self._directory.change(ctx, provider, ClientIDList=clients)

    def update_open_id_connect_provider_thumbprint(
        self, ctx: Context, request: api.UpdateOpenIDConnectProviderThumbprintRequest
    ) -> None:
        """Records other thumbprints; connections are checked by the certificate authorities of this machine."""
        _refuse_many_thumbprints(request["ThumbprintList"])
        self._directory.change(ctx, self._find(request), ThumbprintList=request["ThumbprintList"])

    def _find(self, request: Members) -> Record:
        return self._directory.find_by_arn(entities.OIDC_PROVIDER, request["OpenIDConnectProviderArn"])


def _refuse_address(url: str) -> None:
    """Accepts HTTPS, and providers without it on this machine, which AWS could not reach."""
    if not is_trustworthy(url) or any(mark in url for mark in "?#@"):
        raise ValidationError("Invalid Open ID Connect Provider URL")


def _refuse_many_clients(clients: list[str]) -> None:
    if len(clients) > _MOST_CLIENTS:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {_MOST_CLIENTS}")


def _refuse_many_thumbprints(thumbprints: list[str]) -> None:
    if len(thumbprints) > _MOST_THUMBPRINTS:
        raise InvalidInput(f"Thumbprint list must contain fewer than {_MOST_THUMBPRINTS} entries.")
