"""Long-term access keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.auth import entities
from clary.services.iam import pages
from clary.services.iam.directory import Directory, own_user
from clary.services.iam.errors import LimitExceeded, NoSuchEntity
from clary.store.records import Query

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_KEYS_PER_USER = 2


class AccessKeys:
    """Keys of users, and of the root user when it asks for its own."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)
        self._credentials = platform.credentials

    def create_access_key(self, ctx: Context, request: api.CreateAccessKeyRequest) -> Document:
        """A new key; the only answer that tells its secret."""
        user = self._user(ctx, request)
        if len(self._keys(ctx, user)) >= _KEYS_PER_USER:
            raise LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {_KEYS_PER_USER}")
        key, secret = self._credentials.create_key(user)
        return {"AccessKey": {**_shape(key), "SecretAccessKey": secret}}

    def list_access_keys(self, ctx: Context, request: api.ListAccessKeysRequest) -> Document:
        """The keys of a user, without their secrets."""
        return pages.of_items("AccessKeyMetadata", self._keys(ctx, self._user(ctx, request)), request, _shape)

    def update_access_key(self, ctx: Context, request: api.UpdateAccessKeyRequest) -> None:
        """Switches a key on or off."""
        key = self._find(ctx, request)
        self._directory.save(replace(key, status=request["Status"], modified=ctx.now))

    def delete_access_key(self, ctx: Context, request: api.DeleteAccessKeyRequest) -> None:
        """Removes a key."""
        self._directory.records.delete(self._find(ctx, request))

    def get_access_key_last_used(self, ctx: Context, request: api.GetAccessKeyLastUsedRequest) -> Document:
        """When, where and for which service a key was last used."""
        key = self._directory.find(ctx, entities.ACCESS_KEY, request["AccessKeyId"])
        use = self._directory.records.get(entities.LAST_USE, ctx.account, "", key.name)
        last: Document = {"ServiceName": "N/A", "Region": "N/A"}
        if use is not None:
            last = {"LastUsedDate": use.modified, **use.spec}
        return {"UserName": key.spec["UserName"], "AccessKeyLastUsed": last}

    def _user(self, ctx: Context, request: Members) -> str:
        """The name of the user that is meant, who exists; empty for the root user."""
        name = own_user(ctx, request)
        return self._directory.find(ctx, entities.USER, name).name if name else ""

    def _keys(self, ctx: Context, user: str) -> list[Record]:
        return self._directory.records.all(Query(entities.ACCESS_KEY, ctx.account, where=(("UserName", user),)))

    def _find(self, ctx: Context, request: Members) -> Record:
        key = self._directory.find(ctx, entities.ACCESS_KEY, request["AccessKeyId"])
        if key.spec["UserName"] != self._user(ctx, request):
            raise NoSuchEntity(f"The Access Key with id {key.name} cannot be found.")
        return key


def _shape(key: Record) -> Document:
    return {
        "UserName": key.spec["UserName"],
        "AccessKeyId": key.name,
        "Status": key.status,
        "CreateDate": key.created,
    }
