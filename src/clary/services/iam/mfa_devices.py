"""Virtual MFA devices of users."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import segno

from clary import arn
from clary.auth import entities
from clary.auth.mfa import SEALED_SEED, MfaDevices
from clary.services.iam import pages, shapes
from clary.services.iam.directory import Directory, own_user, tag_list
from clary.services.iam.errors import (
    DeleteConflict,
    EntityAlreadyExists,
    InvalidAuthenticationCode,
    LimitExceeded,
    NoSuchEntity,
)
from clary.services.service import in_thread

if TYPE_CHECKING:
    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

_PER_USER = 8
_ISSUER = "Amazon Web Services"
"""What authenticator apps show; some choose the picture by it."""


class VirtualMfaDevices:
    """Second factors: apps that show a code every half minute."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)
        self._devices = MfaDevices(platform.records, platform.clock, platform.keyring)

    @in_thread
    def create_virtual_mfa_device(self, ctx: Context, request: api.CreateVirtualMFADeviceRequest) -> Document:
        """A new device that is nobody's yet; the only answer that tells its seed."""
        name, path = request["VirtualMFADeviceName"], request.get("Path", "/")
        serial = arn.build("iam", "", ctx.account, f"{entities.MFA_DEVICE}{path}{name}")
        seed, sealed = self._devices.new_seed(serial)
        spec = {**request, SEALED_SEED: sealed}
        device = self._directory.create(ctx, entities.MFA_DEVICE, name, spec, {})
        answer: Document = {
            "SerialNumber": serial,
            "Base32StringSeed": seed.encode(),
            "QRCodePNG": _picture(f"{name}@{ctx.account}", seed),
        }
        return {"VirtualMFADevice": {**answer, "Tags": tag_list(device.tags)} if device.tags else answer}

    def delete_virtual_mfa_device(self, ctx: Context, request: api.DeleteVirtualMFADeviceRequest) -> None:  # noqa: ARG002  # as all handlers
        """Removes a device that is nobody's."""
        device = self._find(request)
        if device.spec.get(entities.OWNER):
            raise DeleteConflict("Cannot delete entity, must deactivate MFA device first.")
        self._directory.records.delete(device)

    @in_thread
    def list_virtual_mfa_devices(self, ctx: Context, request: api.ListVirtualMFADevicesRequest) -> Document:
        """The devices of the account, by whether they are somebody's."""
        wanted = request.get("AssignmentStatus", "Any")
        found = [
            device
            for device in self._directory.all(ctx, entities.MFA_DEVICE)
            if wanted == "Any" or (wanted == "Assigned") == bool(device.spec.get(entities.OWNER))
        ]
        users = {user.observed["UserId"]: user for user in self._directory.all(ctx, entities.USER)}
        return pages.of_items("VirtualMFADevices", found, request, lambda device: _virtual(device, users))

    def enable_mfa_device(self, ctx: Context, request: api.EnableMFADeviceRequest) -> None:
        """Gives a device to a user who shows two of its codes."""
        user = self._directory.find(ctx, entities.USER, request["UserName"])
        device = self._find(request)
        if device.spec.get(entities.OWNER):
            raise EntityAlreadyExists("MFA Device is already in use.")
        if len(self._of(user)) >= _PER_USER:
            raise LimitExceeded(f"Cannot exceed quota for MFADevicesPerUser: {_PER_USER}")
        device = self._synchronised(device, request, first=True)
        spec = {**device.spec, entities.OWNER: user.observed["UserId"]}
        observed = {**device.observed, "EnableDate": ctx.now.isoformat()}
        self._directory.save(replace(device, spec=spec, observed=observed, modified=ctx.now))

    def resync_mfa_device(self, ctx: Context, request: api.ResyncMFADeviceRequest) -> None:
        """Sets the clock of a device by two of its codes."""
        device = self._find_of(ctx, request)
        self._directory.save(replace(self._synchronised(device, request, first=False), modified=ctx.now))

    def deactivate_mfa_device(self, ctx: Context, request: api.DeactivateMFADeviceRequest) -> None:
        """Takes a device from its user."""
        device = self._find_of(ctx, request)
        spec = {name: value for name, value in device.spec.items() if name != entities.OWNER}
        observed = {name: value for name, value in device.observed.items() if name != "EnableDate"}
        self._directory.save(replace(device, spec=spec, observed=observed, modified=ctx.now))

    def list_mfa_devices(self, ctx: Context, request: api.ListMFADevicesRequest) -> Document:
        """The devices of a user; of the caller when the request names none."""
        name = own_user(ctx, request)
        devices = self._of(self._directory.find(ctx, entities.USER, name)) if name else []
        return pages.of_items("MFADevices", devices, request, lambda device: _enabled(device, name))

    def get_mfa_device(self, ctx: Context, request: api.GetMFADeviceRequest) -> Document:
        """When a device was given to its user."""
        device = self._find(request)
        users = self._directory.all(ctx, entities.USER)
        owner = next((user for user in users if user.observed["UserId"] == device.spec.get(entities.OWNER)), None)
        if owner is None or request.get("UserName", owner.name) != owner.name:
            raise NoSuchEntity(f"VirtualMFADevice with serial number {device.arn} doesn't exist.")
        return _enabled(device, owner.name)

    def _find(self, request: Members) -> Record:
        return self._directory.find_by_arn(entities.MFA_DEVICE, request["SerialNumber"])

    def _find_of(self, ctx: Context, request: Members) -> Record:
        """The device of the request, which is that of its user."""
        user = self._directory.find(ctx, entities.USER, own_user(ctx, request))
        device = self._find(request)
        if device.spec.get(entities.OWNER) != user.observed["UserId"]:
            raise NoSuchEntity(f"VirtualMFADevice with serial number {device.arn} doesn't exist.")
        return device

    def _of(self, user: Record) -> list[Record]:
        return entities.owned(self._directory.records, entities.MFA_DEVICE, user)

    def _synchronised(self, device: Record, request: Members, *, first: bool) -> Record:
        codes = request["AuthenticationCode1"], request["AuthenticationCode2"]
        synchronised = self._devices.synchronise(device, codes, first=first)
        if synchronised is None:
            raise InvalidAuthenticationCode("Authentication code for device is not valid.")
        return synchronised


def _picture(label: str, seed: str) -> bytes:
    uri = f"otpauth://totp/{quote(f'{_ISSUER}:{label}')}?secret={seed}&issuer={quote(_ISSUER)}"
    buffer = io.BytesIO()
    segno.make(uri, micro=False).save(buffer, kind="png", scale=4)
    return buffer.getvalue()


def _enabled(device: Record, user_name: str) -> Document:
    return {"UserName": user_name, "SerialNumber": device.arn, "EnableDate": device.observed["EnableDate"]}


def _virtual(device: Record, users: dict[str, Record]) -> Document:
    shape: Document = {"SerialNumber": device.arn}
    owner = users.get(device.spec.get(entities.OWNER, ""))
    if owner is not None:
        shape |= {"User": shapes.user(owner), "EnableDate": device.observed["EnableDate"]}
    return {**shape, "Tags": tag_list(device.tags)} if device.tags else shape
