"""Configurations that a bucket has many of, each with an id: kept and told again; nothing acts on most of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from clary.http import Reply
from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import InvalidArgument, MalformedXML, NoSuchConfiguration, TooManyConfigurations
from clary.services.service import recorded

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

MAX_CONFIGURATIONS = 1000
PAGE = 100


class _Family(Protocol):
    _platform: Platform


Operation = Callable[[_Family, "Context", "Document"], "Document | Reply | None"]


def put(member: str) -> Operation:
    """An operation that keeps a configuration under its id."""

    def keep(self: _Family, ctx: Context, request: Members) -> None:
        configuration, name = request.get(member) or {}, request["Id"]
        if not configuration:
            raise MalformedXML
        if configuration.get("Id") != name:
            raise InvalidArgument("The id of the configuration is not that of the request.", "id", name)

        def change(spec: Document) -> None:
            kept = {**spec.get(member, {}), name: configuration}
            if len(kept) > MAX_CONFIGURATIONS:
                raise TooManyConfigurations
            spec[member] = kept

        edit(self._platform, bucket_of(self._platform, request), ctx, change)

    keep.__doc__ = f"Keeps one {member}."
    return keep


def get(member: str) -> Operation:
    """An operation that tells the configuration with an id."""

    def tell(self: _Family, _: Context, request: Members) -> Document:
        configuration = bucket_of(self._platform, request).spec.get(member, {}).get(request["Id"])
        if configuration is None:
            raise NoSuchConfiguration
        return {member: configuration}

    tell.__doc__ = f"One {member}."
    return tell


def listing(member: str) -> Operation:
    """An operation that tells all configurations of a kind, in pages."""

    def tell(self: _Family, _: Context, request: Members) -> Document:
        kept, token = bucket_of(self._platform, request).spec.get(member, {}), request.get("ContinuationToken") or ""
        rest = sorted(name for name in kept if name > token)
        page = rest[:PAGE]
        told: Document = {f"{member}List": [kept[name] for name in page], "IsTruncated": len(rest) > PAGE}
        if token:
            told["ContinuationToken"] = token
        if len(rest) > PAGE:
            told["NextContinuationToken"] = page[-1]
        return told

    tell.__doc__ = f"Every {member} of a bucket."
    return tell


def delete(member: str) -> Operation:
    """An operation that forgets the configuration with an id."""

    def forget(self: _Family, ctx: Context, request: Members) -> Reply:
        def change(spec: Document) -> None:
            kept = dict(spec.get(member, {}))
            if kept.pop(request["Id"], None) is None:
                raise NoSuchConfiguration
            spec[member] = kept

        edit(self._platform, bucket_of(self._platform, request), ctx, change)
        return Reply({}, 204)

    forget.__doc__ = f"Forgets one {member}."
    return forget


class Configurations:
    """What AWS would analyse, count, list or move by itself."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    put_bucket_analytics_configuration = recorded(put("AnalyticsConfiguration"))
    get_bucket_analytics_configuration = recorded(get("AnalyticsConfiguration"))
    list_bucket_analytics_configurations = recorded(listing("AnalyticsConfiguration"))
    delete_bucket_analytics_configuration = recorded(delete("AnalyticsConfiguration"))

    put_bucket_intelligent_tiering_configuration = recorded(put("IntelligentTieringConfiguration"))
    get_bucket_intelligent_tiering_configuration = recorded(get("IntelligentTieringConfiguration"))
    list_bucket_intelligent_tiering_configurations = recorded(listing("IntelligentTieringConfiguration"))
    delete_bucket_intelligent_tiering_configuration = recorded(delete("IntelligentTieringConfiguration"))

    put_bucket_inventory_configuration = recorded(put("InventoryConfiguration"))
    get_bucket_inventory_configuration = recorded(get("InventoryConfiguration"))
    list_bucket_inventory_configurations = recorded(listing("InventoryConfiguration"))
    delete_bucket_inventory_configuration = recorded(delete("InventoryConfiguration"))
